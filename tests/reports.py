"""Reports made by hand, as the recorder would make them, for the tests of views and commands."""

from steplens.check.chronicle import Chronicler
from steplens.model import event as ev
from steplens.model.course import Course, Surveyor
from steplens.model.finding import Because, Evidence, Finding, Severity
from steplens.model.report import Report, RulesRan, Window
from steplens.model.roster import ModuleEntry, OptimizerEntry, Roster, TensorEntry
from steplens.model.site import Site
from steplens.model.state import Change, Digest
from steplens.model.timeline import Timeline

TRAIN = """\
import torch
from model import build

def train(model, batches):
    opt = torch.optim.Adam(model.parameters(), lr=0.5)
    for x, y in batches:
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        opt.step()
    validate(model)
    model.eval()
    return model
"""
BUILD = "def build():\n\tmodel = Net()  # 網\n\tmodel.eval()\n\treturn model\n"


def site(line: int, column: int, end: int, file: str = "train.py", cell: int = 0) -> Site:
    return Site(file, line, column, line, end, "train", cell)


BACKWARD = site(8, 9, 24)
STEP = site(9, 9, 19)
MADE = site(5, 5, 55)


def digest(*values: float, shape: tuple[int, ...] = (1, 2)) -> Digest:
    norm = sum(value**2 for value in values) ** 0.5
    return Digest("float32", shape, norm, values=values, bits=hash(values))


def large(norm: float, nonfinite: int = 0) -> Digest:
    return Digest("float32", (64, 16), norm, nonfinite=nonfinite, bits=hash(norm))


def roster() -> Roster:
    return Roster(
        tensors={
            0: TensorEntry(0, "mlp.weight", "parameter", (1, 2), "float32", True, 1, 0),
            1: TensorEntry(1, "mlp.bias", "parameter", (1,), "float32", True, 1, 0),
            2: TensorEntry(2, "head.weight", "parameter", (1, 2), "float32", True, 2, 0),
            3: TensorEntry(3, "stem.weight", "parameter", (1, 2), "float32", False, 3, 0),
        },
        modules={
            0: ModuleEntry(0, "", "Net", "model", 0),
            1: ModuleEntry(1, "mlp", "Linear", "", 0, 0, tensors=(0, 1)),
        },
        optimizers={0: OptimizerEntry(0, "Adam", "opt", (0, 1), ({"lr": 0.5},), MADE, True, (2,))},
    )


def never_cleared(first: int = 2, count: int = 3) -> Finding:
    return Finding(
        code="SL201",
        name="gradients-never-cleared",
        severity=Severity.ERROR,
        message="2 gradients used by step 1 were used again by step 2",
        at=STEP,
        label="used here, 3 times",
        because=(Because("added to the old gradient here", BACKWARD),),
        evidence=(
            Evidence("old part of the gradient", "norm 4"),
            Evidence("cosine", "1", "below 1"),
        ),
        help="call `opt.zero_grad()` before `loss.backward()`",
        first_step=first,
        last_step=first + count - 1,
        count=count,
        event=5,
        consequences=("SL601",),
    )


def left_in_eval() -> Finding:
    return Finding(
        code="SL101",
        name="step-in-eval-mode",
        severity=Severity.WARNING,
        message="1 optimizer step with 2 modules in eval mode",
        at=STEP,
        label="stepped here",
        because=(
            Because("left train mode here", site(3, 2, 14, "build.py")),
            Because("made here", site(2, 2, 15, "build.py")),
        ),
        evidence=(Evidence("`1` BatchNorm1d", "eval at 1 of 1 steps", "0"),),
        help="call `model.train()` before the loop that steps",
        first_step=1,
        last_step=1,
        event=3,
    )


def one_step(index: int, step: int, line_detail: bool = True) -> list[ev.Event]:
    """The events of a forward, a backward and a step, with the lines that made them."""
    share = (ev.Share((0, 1), (ev.Contribution(index + 1),)),)
    gradient = Change("gradient", "mlp.weight", None, digest(0.0, 4.0))
    if step:
        gradient = Change(
            "gradient", "mlp.weight", digest(0.0, 4.0 * step), digest(0.0, 4.0 * (step + 1))
        )
    moved = Change("parameter", "mlp.weight", digest(1.0, 1.0), digest(1.0, 0.51739))
    moment = Change(
        "optimizer", "opt mlp.weight exp_avg", None if not step else large(1.23), large(1.31)
    )
    events: list[ev.Event] = [
        ev.Forward(index, step, site(7, 17, 25), 0, True, True, True),
        ev.Backward(index + 1, step, BACKWARD, (0, 1), (index,), loss=1.0),
        ev.Line(index + 2, step, BACKWARD, (gradient,), step + 1),
        ev.Step(
            index + 3, step, STEP, 0, share, moved=2, lrs=(0.5,), updates=(ev.Update(0, 0.5, 1.4),)
        ),
        ev.Line(index + 4, step + 1, STEP, (moved, moment), step + 1),
    ]
    return events if line_detail else [each for each in events if not isinstance(each, ev.Line)]


def report(*findings: Finding, steps: int = 3, line_detail: bool = True, cell: int = 0) -> Report:
    """A run of train.py: ``steps`` steps without a clear, then eval and the end."""
    timeline = Timeline()
    made: list[ev.Event] = [ev.Made(0, 0, MADE, "optimizer", 0)]
    for step in range(steps):
        made += one_step(len(made), step, line_detail)
    index = len(made)
    made += [
        ev.Mode(index, steps, site(11, 5, 17), 0, False, (0, 1)),
        ev.End(index + 1, steps, None),
    ]
    if line_detail:
        mode = (Change("mode", "model", True, False), Change("grad-mode", "grad mode", True, False))
        made.insert(-1, ev.Line(index + 2, steps, site(11, 5, 17), mode))
    known = roster()
    chronicler, course = Chronicler(known), Course()
    surveyor = Surveyor(course)
    for each in made:
        surveyor.hear(each)
        timeline.append(each)
        chronicler.hear(each)
    return Report(
        steplens="0.1.0",
        torch="2.13.0",
        program="train.py",
        steps=steps,
        complete=True,
        status="done",
        findings=list(findings),
        rules=RulesRan(("SL101", "SL201"), ("SL305",)),
        window=Window(10, steps, "end") if line_detail else Window(0, 0, "off"),
        roster=known,
        timeline=timeline,
        account=chronicler.chronicle(findings),
        sources={"train.py": TRAIN, "build.py": BUILD},
        course=course,
    )
