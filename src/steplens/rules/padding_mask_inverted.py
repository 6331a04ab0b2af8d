"""SL512: an attention whose padding mask hides the tokens and shows the padding."""

from steplens.model.event import Padded, Summed
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

SHOWN = "attention sees nothing but padding here"


@rule("SL512", "padding-mask-inverted", "error", needs=("forward",))
class PaddingMaskInverted:
    """An attention whose padding mask hides the tokens and shows the padding.

    ## What it does
    Reports a `key_padding_mask` (`src_key_padding_mask` of torch's transformer layers) which, at
    two steps, hid exactly those positions that hold something else than one and the same value,
    while the positions it showed were the end of each row, or its beginning, of lengths that vary.
    What the positions hold is read from the tokens given to an embedding, or from what the model
    was given. Reports a mask of numbers, given to `scaled_dot_product_attention` or to torch's
    layers, that are 0 and 1, both.

    ## Why is this bad?
    torch's attention takes True for "leave this out". A mask that is True where there is a token
    lets each position see nothing but padding: no token reaches any other. The loss still falls, by
    what the residual connections carry past the attention. A mask of numbers is added to the
    scores: 0 and 1 for -inf and 0 hide nothing.

    ## Example
        mask = tokens != PAD
        encoder(x, src_key_padding_mask=mask)

    ## Use instead
        mask = tokens == PAD
        encoder(x, src_key_padding_mask=mask)

    ## When it is fine
    Masks that show a token of the same kind elsewhere than at the ends of rows, or as many of them
    in each row (a class token), and masks of which the tokens are not known, are not reported. Nor
    is what an attention of the program's own does with a mask.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def summed(self, event: Summed) -> None:
        if self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            "this attention is given a mask of the numbers 0 and 1, and adds them to its scores: "
            "it leaves nothing out",
            label="a mask of numbers is added",
            evidence=(
                seen("zeros in the mask", event.zeros, "-inf, or False"),
                seen("ones in the mask", event.ones, "0, or True"),
            ),
            help="give it `mask.bool()` (`scaled_dot_product_attention` shows what is True, "
            "`MultiheadAttention` leaves it out: `mask == 0`)",
            event=event.index,
        )

    def padded(self, event: Padded) -> None:
        at = event.made or event.site
        if self.cases.again(at, event.step + 1):
            return
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"the padding mask hides all {event.hidden} tokens and shows the padding: torch's "
            "attention leaves out what is True",
            label="True where there is a token" if event.made else SHOWN,
            because=because(SHOWN, event.site if event.made else None),
            evidence=(
                seen("positions hidden", f"{event.hidden}, of {event.kinds} kinds", "the padding"),
                seen("positions shown", f"{event.shown}, all {event.value:g}", "the tokens"),
            ),
            help="make it True where there is padding: `tokens == PAD`, or `~mask`",
            event=event.index,
        )
