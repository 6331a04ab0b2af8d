"""Returns: rounds told in full that come again with others between: the loop over a word of seven
letters, among words of all lengths. Each of them is learnt, and ``branch`` goes from one to the
other."""

from collections.abc import Sequence

from steplens.record.repertoire import Learnt, akin, ends_with_steps
from steplens.record.rounds import Call, same_steps

KEPT = 64  # rounds that may come again
TRIAL = 3000  # calls told in full, after which it shows whether that is of use
ASKED, AGAIN = 24, 6  # of so many rounds, so many have come before, or they are too many
STEPS = 2  # in one round, at most

Key = tuple[tuple[str, int, int], ...]


class Returns:
    """The newest rounds that were told in full. After a trial in which fewer steps were counted
    than told, nothing more is kept: the rounds are too many."""

    def __init__(self) -> None:
        self.rounds: dict[Key, list[Call]] = {}
        self.left = TRIAL
        self.told = 0  # steps told in full in the trial, since it is half over
        self.since = -1  # steps of the program until then
        self.asked = self.again = 0  # rounds that may come again, and those that have
        self.on = True

    def step_told(self, calls: int, step: int) -> None:
        """A step was told in full, so many calls after the last one."""
        if not self.on:
            return
        self.left -= calls
        if self.left < TRIAL // 2:
            if self.since < 0:
                self.since = step
            self.told += 1
        if self.left < 0:
            if 2 * self.told >= step - self.since:
                self.end()
            self.left, self.told, self.since = TRIAL, 0, -1

    def end(self) -> None:
        """Keep nothing more."""
        self.on = False
        self.rounds.clear()

    def come(self, past: Sequence[tuple[Call, ...]]) -> Learnt | None:
        """The round that the newest steps make, if it has come before, and another like it, but for
        how many calls there are, just now."""
        for steps in range(1, min(STEPS, len(past) // 2) + 1):
            now = [call for calls in past[-steps:] for call in calls]
            before = [call for calls in past[-2 * steps : -steps] for call in calls]
            if not (now[0].akin(before[0]) and same_steps(now, before) and _closed(now)):
                continue
            key = tuple([(call.form, call.before, call.nodes) for call in now])
            known = self.rounds.pop(key, None)
            self.asked += 1
            self.again += known is not None
            if self.asked == ASKED and self.again < AGAIN:
                self.end()
                return None
            if len(self.rounds) >= KEPT:
                del self.rounds[next(iter(self.rounds))]
            self.rounds[key] = now
            if known is not None and akin(now, known, lone=True):
                return Learnt(now, before, steps, known)
        return None


def _closed(calls: Sequence[Call]) -> bool:
    """Whether there is a clear and a backward before the first step, and none after it."""
    return {"backward", "clear"} <= {call.form for call in calls} and ends_with_steps(calls)
