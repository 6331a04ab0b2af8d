"""SL514: a model of sequences that is given the very tokens it is to tell."""

from steplens.model.event import Foreseen
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

HELP = {
    1: "give attention a causal mask: `is_causal=True`, or `scores = scores.masked_fill(later, "
    "float('-inf'))` with `later = torch.ones(T, T).triu(1).bool()`",
    0: "shift the labels by one: `logits[:, :-1]` against `tokens[:, 1:]`",
}


@rule("SL514", "answer-in-the-input", "error", needs=("backward",))
class AnswerInTheInput:
    """A model of sequences that is given the very tokens it is to tell.

    ## What it does
    Where the labels of a cross-entropy are the tokens that the model was given, each one place
    later, takes one extra look at a small model (under 20 MB): a copy in eval mode is called with
    the tokens, and with other ones after the first. Reports when the first output changes, with the
    operation at which it comes to depend on later tokens. Where the labels are the tokens in their
    own places, reports when each output depends on the tokens up to its own place, and on none
    after: a model of the next token whose labels were not shifted.

    ## Why is this bad?
    The model learns to copy the answer. The loss falls fast and to very little, and what it
    generates is nonsense, as there is no answer to copy then.

    ## Example
        scores.masked_fill(later, float("-inf"))  # the result is dropped: nothing is masked
        weights = scores.softmax(-1)

    ## Use instead
        scores = scores.masked_fill(later, float("-inf"))
        weights = scores.softmax(-1)

    ## When it is fine
    Autoencoders, which take tokens in and give them out again through something that has no
    dimension of time; models that take the tokens in twice, as an encoder and a decoder do; masked
    language models, whose labels are not in their input. Models whose forward does not give out
    its scores, prints, logs, or cannot be copied are not looked at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def foreseen(self, event: Foreseen) -> None:
        at = event.where or event.site
        if self.cases.again(at, event.step + 1):
            return
        name = self.roster.module_name(event.module)
        ahead = event.shift == 1
        first = event.site if event.where and ahead else None
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"`{name}` sees the tokens that it is to tell: each label is the next token of its "
            "input, and the output before it depends on that"
            if ahead
            else f"`{name}` is to tell the very tokens that it is given: the labels are the input, "
            "not shifted",
            label="outputs come to depend on later tokens here" if ahead and event.where else "",
            because=because("forward", first),
            evidence=(
                seen("labels that are the input's tokens", f"all, {event.shift} places later"),
                seen(
                    "first output with other tokens after the first",
                    "changed" if ahead else "the same",
                    "the same" if ahead else "",
                ),
            ),
            help=HELP[event.shift],
            event=event.index,
        )
