"""What the account says. That it agrees with the rules is tested on every program in test_rules."""

import runpy

import pytest
import torch
from torch import nn

import agreement
import watching
from agreement import line
from steplens import views
from steplens.check.reporting import Report
from steplens.errors import BadSetting
from steplens.model import codec
from steplens.model.chronicle import Fate
from steplens.views import why
from steplens.views.account import account_lines

# -- what it says ---------------------------------------------------------------------------------


def lookup(report: Report, name: str) -> Fate:
    """The fate of the parameter of this name."""
    titles = report.roster.titles()
    (fate,) = [f for f in report.account.fates if any(titles[t] == name for t in f.tensors)]
    return fate


def train(model: nn.Module, opt: torch.optim.Optimizer, steps: int = 4) -> None:
    for _ in range(steps):
        opt.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        opt.step()


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def test_a_frozen_part_is_told_with_its_line():
    def program():
        model = small()
        model[0].requires_grad_(False)
        train(model, torch.optim.SGD(model.parameters(), 0.1))

    report = watching.watched(program)
    assert lookup(report, "0.weight").kind == "frozen"
    assert lookup(report, "2.weight").kind == "trained"
    assert f"since {__file__.rpartition('/')[2]}" in " ".join(account_lines(report)).replace(
        "tests/", ""
    )


def test_parameters_written_by_hand_are_the_programs_own():
    def program():
        model = small()
        for _ in range(6):
            model(torch.randn(8, 4)).pow(2).mean().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p.data -= 0.1 * p.grad
                    p.grad = None

    report = watching.watched(program)
    assert {fate.kind for fate in report.account.fates} == {"by-hand"}
    assert "no optimizer step after 6 backward passes" in line(report, "order")


def test_an_averaged_copy_is_written_by_hand():
    def program():
        model = small()
        copy = small()
        opt = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(6):
            train(model, opt, 1)
            with torch.no_grad():
                for mine, theirs in zip(copy.parameters(), model.parameters(), strict=True):
                    mine.data.lerp_(theirs, 0.1)

    report = watching.watched(program)
    assert lookup(report, "copy.0.weight").kind == "by-hand"
    assert lookup(report, "model.0.weight").kind == "trained"


def test_optimizers_that_write_past_the_counters_have_moved_their_tensors():
    class Plain(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.add_(p.grad.data, alpha=-group["lr"])

    def program():
        model = small()
        train(model, Plain(model.parameters()))

    report = watching.watched(program)
    assert lookup(report, "0.weight").moved == 4


def test_steps_at_rate_zero_move_nothing():
    def program():
        model = small()
        groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
        train(model, torch.optim.SGD(groups, 0.1))

    report = watching.watched(program)
    assert lookup(report, "0.weight").why == "lr-zero"
    assert lookup(report, "2.weight").kind == "trained"


def test_a_head_replaced_before_training_is_gone():
    def program():
        model = small()
        model[2] = nn.Linear(8, 3)
        train(model, torch.optim.SGD(model.parameters(), 0.1))

    report = watching.watched(program)
    kinds = [fate.kind for fate in report.account.fates]
    assert set(kinds) <= {"trained", "absent"}
    assert "unchanged" not in " ".join(account_lines(report))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("clear(); passes(1); step()", "clear -> forward -> backward -> step, 6 times, the same"),
        ("passes(1); step(); clear()", "forward -> backward -> step -> clear, 6 times, the same"),
        ("clear(); passes(3); step()", "clear -> (forward -> backward) x 3 -> step, 6 times"),
        ("passes(3); step(); clear()", "(3 backward passes for each step): fine"),
    ],
)
def test_the_order_is_told_as_it_was_written(body, said):
    def program():
        model = small()
        opt = torch.optim.SGD(model.parameters(), 0.1)

        def passes(count):
            for _ in range(count):
                (model(torch.randn(8, 4)).pow(2).mean() / count).backward()

        names = {"clear": opt.zero_grad, "passes": passes, "step": opt.step}
        for _ in range(6):
            exec(body, dict(names))

    assert said in line(watching.watched(program), "order")


def test_a_step_that_differs_is_said():
    def program():
        model = small()
        opt = torch.optim.SGD(model.parameters(), 0.1)
        train(model, opt, 5)
        opt.zero_grad()
        for _ in range(2):
            model(torch.randn(8, 4)).pow(2).mean().backward()
        opt.step()

    said = line(watching.watched(program), "order")
    assert "clear -> forward -> backward -> step, 5 times" in said
    assert "clear -> (forward -> backward) x 2 -> step, 1 time" in said


def test_evaluations_are_counted_and_called_fine():
    def program():
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        opt = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            model.train()
            train(model, opt)
            model.eval()
            with torch.no_grad():
                for _ in range(5):
                    model(torch.randn(8, 4))

    said = line(watching.watched(program), "modes")
    assert "train at every step; eval and no grad in 3 evaluations (15 forwards): fine" in said


def test_a_closure_runs_inside_its_step():
    def program():
        model = small()
        opt = torch.optim.LBFGS(model.parameters(), max_iter=4)
        x = torch.randn(8, 4)

        def closure():
            opt.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            return loss

        for _ in range(3):
            opt.step(closure)

    report = watching.watched(program)
    assert "inside the step" in line(report, "order")
    # the closure of the first step makes the gradient that the step writes with
    assert {(fate.moved, fate.steps) for fate in report.account.fates} == {(3, 3)}


def test_what_stands_before_a_step_with_a_closure_is_not_said_to_be_inside_it():
    def program():
        model = small()
        opt = torch.optim.LBFGS(model.parameters(), max_iter=4)
        x = torch.randn(8, 4)

        def closure():
            loss = model(x).pow(2).mean()
            loss.backward()
            return loss

        for _ in range(3):
            opt.zero_grad()
            opt.step(closure)

    said = line(watching.watched(program), "order")
    assert "those of the closure inside the step" in said
    assert "all before it" not in said


def test_without_training_the_account_says_so():
    report = watching.watched(lambda: small()(torch.randn(2, 4)))
    assert account_lines(report) == ["trained    nothing: no backward pass and no optimizer step"]


def test_what_is_not_judged_is_not_called_fine():
    import steplens

    model = small()
    with steplens.watch(ignore=("SL201", "SL102")) as lens:
        train(model, torch.optim.SGD(model.parameters(), 0.1))
    assert "fine" not in line(lens.report, "order") + line(lens.report, "modes")


def test_the_json_view_holds_the_account():
    def program():
        model = small()
        train(model, torch.optim.SGD(model.parameters(), 0.1))

    report = watching.watched(program)
    again = codec.decode(views.show(report, "json").encode(), "json")
    assert again.account == report.account
    assert 4 in [fate.moved for fate in again.account.fates]


# -- why ------------------------------------------------------------------------------------------


def left_out() -> None:
    model = small()
    train(model, torch.optim.SGD(model[0].parameters(), 0.1))


def test_why_says_where_the_chain_of_a_parameter_breaks():
    said = why.render(watching.watched(left_out), "2.weight")
    assert "x optimizer   none holds it" in said
    assert "the chain breaks here: SL301 parameter-not-in-optimizer" in said
    assert said.endswith("=> it stays as it is\n")


def test_why_follows_all_below_a_prefix_and_the_loss():
    report = watching.watched(left_out)
    assert why.render(report, "0").endswith("=> they train\n")
    assert why.render(report, "model.0.*") == why.render(report, "0")
    loss = why.render(report, "loss")
    assert "made by     mean of pow of addmm" in loss
    assert "backward called 4 times" in loss


def test_why_is_told_in_chinese():
    report = watching.watched(left_out)
    chain, loss = (why.render(report, name, views.Look(lang="zh")) for name in ("2.weight", "loss"))
    assert "x 优化器      没有优化器持有它" in chain
    assert "链条在此断开：SL301" in chain
    assert chain.endswith("=> 它保持原样\n")
    assert "产生者      mean ← pow" in loss
    assert agreement.ENGLISH.isdisjoint((chain + loss).split())


def test_why_of_a_name_there_is_not_gives_the_nearest():
    with pytest.raises(BadSetting, match=r"did you mean `2\.weight`"):
        why.render(watching.watched(left_out), "2.wieght")


def test_a_model_made_over_many_lines_bears_its_own_name(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        "import torch\n"
        "from torch import nn\n"
        "net = nn.Sequential(\n"
        "    nn.Linear(3, 4),\n"
        "    nn.Linear(4, 1),\n"
        ")\n"
        "other = [nn.Linear(3, 1) for _ in range(2)]\n"
        "a = nn.Linear(3, 1); b = nn.Linear(3, 1)\n"
        "net(torch.ones(2, 3)).sum().backward()\n"
        "sum(one(torch.ones(2, 3)).sum() for one in (*other, a, b)).backward()\n"
    )
    report = watching.watched(lambda: runpy.run_path(str(path)))
    labels = {entry.label for entry in report.roster.modules.values()}
    assert labels == {"net", "other", "other#2", "a", "b"}


def test_an_optimizer_is_not_called_by_the_result_of_what_it_was_given_to(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        "import torch\n"
        "from torch.optim import SGD\n"
        "def fit(model, optimizer):\n"
        "    model(torch.ones(2, 3)).sum().backward()\n"
        "    optimizer.step()\n"
        "    return 1.0\n"
        "net = torch.nn.Linear(3, 1)\n"
        "score = fit(net,\n"
        "            SGD(net.parameters(), lr=0.1))\n"
        "later = fit(net, optimizer=SGD(net.parameters(), lr=0.1))\n"
        "made = SGD(list(net.parameters()), lr=0.1)\n"
        "fit(net, made)\n"
    )
    report = watching.watched(lambda: runpy.run_path(str(path)))
    assert [entry.label for entry in report.roster.optimizers.values()] == ["", "", "made"]


def test_what_a_scheduler_of_another_optimizer_is_meant_for_bears_its_code():
    def program():
        model = nn.Linear(3, 1)
        idle = torch.optim.Adam(model.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.ExponentialLR(idle, 0.9)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).pow(2).mean().backward()
            optimizer.step()
            schedule.step()

    rows = account_lines(watching.watched(program))
    assert "SL314" in " ".join(rows[: next(n for n, row in enumerate(rows) if "order" in row)])


def test_a_verdict_names_what_led_to_a_finding_of_its_own(tmp_path):
    """`eval` named and not called is no rule of modes, and the cause of one."""
    path = tmp_path / "program.py"
    path.write_text(
        "import torch\n"
        "from torch import nn\n"
        "model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for _ in range(4):\n"
        "    for _ in range(4):\n"
        "        optimizer.zero_grad()\n"
        "        model(torch.randn(8, 3)).pow(2).mean().backward()\n"
        "        optimizer.step()\n"
        "    model.eval\n"
        "    with torch.no_grad():\n"
        "        for x in torch.utils.data.DataLoader(torch.randn(32, 3), batch_size=8):\n"
        "            print(model(x).mean().item())\n"
    )
    report = watching.watched(lambda: runpy.run_path(str(path)))
    assert [(each.code, each.consequences) for each in report.findings] == [("SL515", ("SL102",))]
    assert line(report, "modes").endswith("SL515")
