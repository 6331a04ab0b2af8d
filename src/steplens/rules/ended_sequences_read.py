"""SL520: one step of padded sequences is read for all of them, where some have ended before."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL520", "ended-sequences-read", "warning", needs=("backward",))
class EndedSequencesRead:
    """The last step of padded sequences, of which some have ended before it.

    ## What it does
    Reports a line that selects one step of what `pad_packed_sequence` gave out, and the loss's
    graph has nothing else of that, though some of the sequences are shorter.

    ## Why is this bad?
    `out[:, -1]` is the last step of the longest sequence. The others hold the padding value there,
    0: the head is given zeros for them, whatever they said, and they teach the network nothing.

    ## Example
        out, lengths = pad_packed_sequence(packed, batch_first=True)
        last = out[:, -1]

    ## Use instead
        out, lengths = pad_packed_sequence(packed, batch_first=True)
        last = out[torch.arange(len(out)), lengths - 1]  # or h_n[-1], which the network returns

    ## When it is fine
    Sequences of one length; a step that all of them have; steps read one after another, by an
    attention or a loop, whose masks nobody knows. The first graphs are read.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "ended" or self.cases.again(event.site, event.step + 1):
            return
        over = int(event.value or 0)
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            f"step {event.name} is read of all {event.of} sequences, and {over} of them have ended "
            "before it: what is read of those is padding",
            label="reads past the end of shorter ones",
            evidence=(seen("sequences that have ended", f"{over} of {event.of}", "none"),),
            help="read the last step of each: `h_n[-1]`, or "
            "`out[torch.arange(len(out)), lengths - 1]`",
            event=event.index,
        )
