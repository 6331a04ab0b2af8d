"""Random training programs, plain and watched: the same bits, and the Ledger as counted by hand."""

import os
from dataclasses import replace
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, example, given, settings

import steplens
from plans import Plan, Shape, Steps, plans
from steplens.check.reporting import Report
from steplens.model.event import Backward, Clear, Share, Step
from training import Program, Result, differences, quietly
from witness import ANY, HAND, Held, Register, Silent, Witness

KEPT = 8  # contributions of a gradient that steps have used, of which older ones are forgotten
FAILED = 0  # in the place of the number of a backward pass that raised: no event tells of it
PROGRAMS = 300 if os.environ.get("STEPLENS_SOAK") else 30


def plain(plan: Plan, witness: Silent) -> Result:
    """Run the program."""
    return quietly(lambda: Program(plan, witness).run())


def watched(plan: Plan) -> tuple[Result, Report, dict[int, int]]:
    """Run the program watched: its result, its Report, and the place of each tensor's number among
    the parameters."""
    register = Register()
    lens = steplens.watch(lines=plan.lines, search=False)

    def run() -> Result:
        if plan.made_before:
            program = Program(plan, register)
            lens.objects = (*program.models, *program.optimizers)
            with lens:
                result = program.run()
                names.update(numbers())
        else:
            with lens:
                result = Program(plan, register).run()
                names.update(numbers())
        return result

    def numbers() -> dict[int, int]:
        census = lens.session.recorder.census
        known = [census.known(tensor) for tensor in register.tensors]
        return {a.number: key for key, a in enumerate(known) if a is not None}

    names: dict[int, int] = {}
    return quietly(run), lens.report, names


class Told:
    """What the events say, in the words of the Witness."""

    def __init__(self, report: Report, names: dict[int, int], witness: Witness) -> None:
        self.names, self.witness = names, witness
        events = report.timeline.events
        void = iter(range(1, 1 + len(witness.backwards)))
        done = [number for number in void if number not in witness.void]
        self.backwards = [event for event in events if isinstance(event, Backward)]
        self.backward = {e.index: n for e, n in zip(self.backwards, done, strict=True)}
        self.numbers = done
        self.steps = [event for event in events if isinstance(event, Step)]
        self.step = {event.index: number for number, event in enumerate(self.steps, 1)}
        clears = [event for event in events if isinstance(event, Clear)]
        self.clears = [event for event in clears if event.by != "hand"]
        self.by_hand = [
            (key, held)
            for event in clears
            if event.by == "hand"
            for key, held in self.shares(event.lost).items()
        ]

    def shares(self, shares: tuple[Share, ...]) -> dict[int, Held]:
        return {
            self.names[tensor]: [
                (self.backward.get(c.backward, FAILED), tuple(self.step[i] for i in c.used_by))
                for c in share.holds
            ]
            for share in shares
            for tensor in share.tensors
            if tensor in self.names
        }

    def held(self, event: Step) -> dict[int, Held]:
        names = self.names
        none: dict[int, Held] = {names[t]: [] for t in event.idle if t in names}
        hand: dict[int, Held] = {names[t]: HAND for t in event.unknown if t in names}
        return self.shares(event.uses) | none | hand


def agree(key: int, told: Held | None, true: Held, witness: Witness, looked: bool) -> bool:
    """Whether the two say the same, as far as it has a meaning: contributions that were zero do not
    count, and an account that says it cannot tell is right where somebody wrote by hand."""
    if told is None or true == ANY:
        return told is not None
    if told == HAND or true == HAND:
        return told == true or (told == HAND and not looked)

    def real(held: Any) -> Any:
        return [(b, used[-4:]) for b, used in held if (b, key) not in witness.nothing]

    said, was = real(told), real(true)
    if len(told) >= KEPT:  # of a gradient that nobody clears, the newest are told
        return bool(was[len(was) - len(said) :] == said)
    return bool(said == was)


def compare(report: Report, names: dict[int, int], witness: Witness) -> list[str]:
    """Where the events and the Witness part."""
    told = Told(report, names, witness)
    wrong: list[str] = []
    for event, number in zip(told.backwards, told.numbers, strict=True):
        reached = {names[leaf] for leaf in event.leaves if leaf in names}
        true = witness.backwards[number - 1]
        if reached != true:
            wrong.append(f"backward {number} reached {reached}, truly {true}")
    if len(told.steps) != len(witness.steps):
        return [*wrong, f"{len(told.steps)} steps told, truly {len(witness.steps)}"]
    steps = zip(told.steps, witness.steps, strict=True)
    for place, (event, (_, true, zero)) in enumerate(steps, 1):
        held, looked = told.held(event), event.step < 10
        for key in true:
            if key not in zero and not agree(key, held.get(key), true[key], witness, looked):
                wrong.append(f"step {place} tensor {key}: told {held.get(key)}, truly {true[key]}")
    if len(told.clears) != len(witness.clears):
        return [*wrong, f"{len(told.clears)} clears told, truly {len(witness.clears)}"]
    clears = zip(told.clears, witness.clears, strict=True)
    for place, (event, (true, zero)) in enumerate(clears, 1):
        lost, looked = told.shares(event.lost), event.step < 10
        for key, held in true.items():
            given = lost.get(key, HAND)
            # what came after an unknown part is told: beyond a look, or a write by hand
            if held == HAND and isinstance(given, list):
                continue
            whole = isinstance(held, str) or isinstance(given, str) or looked
            lasting = held if whole else held[len(held) - len(given) :]
            if held and key not in zero and not agree(key, given, lasting, witness, looked):
                wrong.append(f"clear {place} tensor {key}: told {lost.get(key)}, truly {held}")
    return wrong


CLEAR, PASS, STEP = ("clear", 0, "optimizer"), ("pass", 0, "plain"), ("step", 0, "plain")
PLAIN = Plan(
    seed=1,
    models=(Shape("normed", 1, 1, "none", 0.9, "relu", "none", "none"),),
    optimizers=(Steps("SGD", (("lr", 0.1), ("momentum", 0.9)), "own", "none"),),
    actions=(CLEAR, PASS, PASS, ("clip", 0, "norm"), STEP),
    rounds=2,
    loss="sum",
)
REENTRANT = replace(
    PLAIN,
    models=(Shape("mlp", 1, 2, "none", 0.0, "relu", "reentrant", "none"),),
    actions=(("pass", 0, "several"), CLEAR, PASS, STEP),
)  # the backward of a block of two roots runs twice by itself
COUNTED = replace(PLAIN, rounds=14)  # readings fall between its rounds
BATCHES = Shape("mlp", 1, 1, "batch", 0.0, "relu", "free", "none")
CHECKPOINTED = replace(PLAIN, models=(BATCHES,))  # run again for a backward, and no more often
UNSEEN = replace(PLAIN, actions=(CLEAR, PASS, ("clear", 0, "data-zero"), PASS, STEP))


@example(COUNTED)
@example(REENTRANT)
@example(UNSEEN)
@example(CHECKPOINTED)
@given(plans())
@settings(
    max_examples=PROGRAMS,
    deadline=None,
    derandomize="STEPLENS_SOAK" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
def test_a_watched_program_gives_the_bits_of_a_plain_one(plan: Plan) -> None:
    once = plain(plan, Silent())
    witness = Witness()
    assert differences(once, plain(plan, witness)) == []
    result, report, names = watched(plan)
    assert differences(once, result) == []
    assert report.faults == []
    assert compare(report, names, witness) == []
    assert torch.is_grad_enabled()
