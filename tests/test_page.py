"""The page as a file: one document, nothing from outside, within its bounds."""

import base64
import hashlib
import json
import re

import pytest
from msgspec.structs import replace

import hostile
import reports
import steplens
from steplens import views
from steplens.model import event as ev
from steplens.model.course import Surveyor
from steplens.model.finding import Finding
from steplens.model.report import Report, Window
from steplens.model.roster import ModuleEntry, OptimizerEntry, Roster, TensorEntry
from steplens.model.state import Change, Digest, Whose
from steplens.views.page import data, document, stops
from steplens.views.paint import Look
from steplens.views.speech import Speech, asset

ASSETS = ("page.html", "page.css", "theme.js", *document.SCRIPTS)
SAID = {  # calls that few programs make
    ev.GradCall: lambda *seen: ev.GradCall(*seen, (0,)),
    ev.Schedule: lambda *seen: ev.Schedule(*seen, 0, 0, 1, (0.5,)),
    ev.Load: lambda *seen: ev.Load(*seen, "module", 0),
    ev.Clip: lambda *seen: ev.Clip(*seen, "clip_grad_norm_", 1.0),
    ev.Scale: lambda *seen: ev.Scale(*seen, "step", skipped=True),
    ev.Batch: lambda *seen: ev.Batch(*seen, "epoch", 0, 1),
    ev.Drop: lambda *seen: ev.Drop(*seen, 0, "dropout", 0.5),
    ev.Unseen: lambda *seen: ev.Unseen(*seen, "compiled", "net"),
    ev.Parted: lambda *seen: ev.Parted(*seen, 0, 1, one_name="a", other_name="b"),
    ev.Shared: lambda *seen: ev.Shared(*seen, 0, 1),
    ev.Misnamed: lambda *seen: ev.Misnamed(*seen, "requires_gradient"),
    ev.Vain: lambda *seen: ev.Vain(*seen, "clip", "p.grad.clamp(-1, 1)"),
    ev.Apart: lambda *seen: ev.Apart(*seen, 0, 0, 1, 4, 0.5),
    ev.Held: lambda *seen: ev.Held(*seen, 0, "cache"),
    ev.Kept: lambda *seen: ev.Kept(*seen, 3),
    ev.Redraw: lambda *seen: ev.Redraw(*seen, "manual_seed", 0, 1),
    ev.Alike: lambda *seen: ev.Alike(*seen, 0, (0, 1), "numpy"),
    ev.ReadAlike: lambda *seen: ev.ReadAlike(*seen, 0, 1, 4, 1),
    ev.Mixed: lambda *seen: ev.Mixed(*seen, 0, 4, 3, "softmax", "softmax"),
    ev.Undrawn: lambda *seen: ev.Undrawn(*seen, 0, 3, 20),
    ev.Padded: lambda *seen: ev.Padded(*seen, 30, 12, 9, 0.0),
    ev.Unmatched: lambda *seen: ev.Unmatched(*seen, "margin_ranking_loss", 12, 30),
    ev.Positioned: lambda *seen: ev.Positioned(*seen, 0, "pe", 16, 9),
    ev.Foreseen: lambda *seen: ev.Foreseen(*seen, 0, 1, 9),
    ev.Behind: lambda *seen: ev.Behind(*seen, 0, (1, 2), 2),
    ev.Drawn: lambda *seen: ev.Drawn(*seen, "Normal"),
    ev.Refolded: lambda *seen: ev.Refolded(*seen, 0, 9, 9, 4),
    ev.Rewritten: lambda *seen: ev.Rewritten(*seen, 0, "rows", 2),
    ev.Failure: lambda *seen: ev.Failure(*seen, "RuntimeError", "no graph"),
    ev.Repeat: lambda *seen: ev.Repeat(*seen, 4, 9),
}
LAYERS, WIDTH, VOCABULARY = 12, 768, 50_257


def page(report: Report, **look: object) -> str:
    return views.show(report, "html", Look(**look))  # type: ignore[arg-type]


def held(text: str) -> dict[str, object]:
    """The data of a page, as the browser reads it."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def never_cleared(event: int) -> Finding:
    return replace(reports.never_cleared(), event=event)


def large_run(steps: int = 10) -> Report:
    """Ten steps of a model of 124 million parameters, read line by line."""
    shapes = {"wte.weight": (VOCABULARY, WIDTH), "wpe.weight": (1024, WIDTH)}
    for layer in range(LAYERS):
        for name, shape in (
            ("ln_1.weight", (WIDTH,)), ("ln_1.bias", (WIDTH,)),
            ("attn.c_attn.weight", (WIDTH, 3 * WIDTH)), ("attn.c_attn.bias", (3 * WIDTH,)),
            ("attn.c_proj.weight", (WIDTH, WIDTH)), ("attn.c_proj.bias", (WIDTH,)),
            ("ln_2.weight", (WIDTH,)), ("ln_2.bias", (WIDTH,)),
            ("mlp.c_fc.weight", (WIDTH, 4 * WIDTH)), ("mlp.c_fc.bias", (4 * WIDTH,)),
            ("mlp.c_proj.weight", (4 * WIDTH, WIDTH)), ("mlp.c_proj.bias", (WIDTH,)),
        ):  # fmt: skip
            shapes[f"h.{layer}.{name}"] = shape
    names = list(shapes)
    roster = Roster(
        tensors={
            n: TensorEntry(n, name, "parameter", shapes[name], "f32", True, 0, 0, (name,))
            for n, name in enumerate(names)
        },
        modules={0: ModuleEntry(0, "", "GPT", "model", 0, -1, tensors=tuple(range(len(names))))},
        optimizers={0: OptimizerEntry(0, "AdamW", "optimizer", tuple(range(len(names))))},
    )

    def changes(part: str, step: int) -> tuple[Change, ...]:
        return tuple(
            Change(part, name, None, digest(shapes[name], hash((part, n, step))), Whose(n, *more))
            for n, name in enumerate(names)
            for more in ([()] if part != "optimizer" else [(0, "exp_avg"), (0, "exp_avg_sq")])
        )

    def digest(shape: tuple[int, ...], seed: int) -> Digest:
        bars = tuple(seed * (n + 3) % 97 for n in range(16))
        norm = (seed % 9973) / 100
        return Digest("f32", shape, norm, bits=seed, low=-norm, high=norm, bars=(*bars[:-1], 99))

    report = Report(program="train.py", roster=roster, steps=steps, window=Window(10, steps, "end"))
    surveyor = Surveyor(report.course)
    for step in range(steps):
        index = 5 * step
        leaves = tuple(range(len(names)))
        for event in (
            ev.Backward(index, step, reports.BACKWARD, leaves, loss=1.0),
            ev.Line(index + 1, step, reports.BACKWARD, changes("gradient", step)),
            ev.Step(index + 2, step, reports.STEP, 0, (), moved=len(names), lrs=(1e-3,)),
            ev.Line(
                index + 3,
                step + 1,
                reports.STEP,
                changes("parameter", step) + changes("optimizer", step),
            ),
            ev.Clear(index + 4, step + 1, reports.MADE, "optimizer", 0, (), True, len(names)),
        ):
            report.timeline.append(event)
            surveyor.hear(event)
    return report


def test_the_files_of_the_page_stay_small() -> None:
    assert sum(len(asset(name).encode()) for name in ASSETS) < 80_000


def test_ten_steps_of_a_hundred_million_parameters_stay_under_three_megabytes() -> None:
    report = large_run()
    assert sum(len(entry.shape) and 1 for entry in report.roster.tensors.values()) == 146
    text = page(report)
    assert len(text.encode()) < 3_000_000
    assert any(len(record) == 9 for record in held(text)["records"])  # type: ignore[attr-defined]


def test_what_does_not_fit_is_left_out_and_the_page_says_so() -> None:
    report = reports.report(never_cleared(1500), steps=1000)
    whole = len(data.page_data(report, "en", {})[0])
    text, _ = data.page_data(report, "en", {}, whole // 3)
    assert len(text) <= whole // 3
    small = json.loads(text)
    assert any("positions in the middle are left out" in each for each in small["head"]["caveats"])
    (finding,) = small["findings"]
    first, last = small["positions"][finding["stop"]]["events"]
    assert first <= 1500 <= last


def test_of_thousands_of_models_the_page_shows_the_first_ones_and_says_so() -> None:
    report = reports.report(reports.never_cleared())
    for number in range(10, 3010):
        report.roster.modules[number] = ModuleEntry(number, "", "Net", f"net{number}", number)
        report.roster.tensors[number] = TensorEntry(
            number, "weight", "parameter", (2,), "f32", True, number, number
        )
    text, _ = data.page_data(report, "en", {})
    shown = json.loads(text)
    assert len(shown["modules"]) < 50
    assert "2961 more models" in " ".join(shown["head"]["caveats"])
    assert len(text) < 100_000


def test_only_the_page_s_own_code_may_run() -> None:
    text = page(hostile.report())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    code = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(code) == 2
    for each in code:
        digest = base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_nothing_is_asked_of_the_network() -> None:
    text = page(reports.report(reports.never_cleared()))
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", text)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_data_of_the_user_s_is_ascii_and_holds_no_markup() -> None:
    text = page(hostile.report())
    block = text.partition('id="data">')[2].partition("</script>")[0]
    assert block.isascii()
    assert not re.search("[<>&]", block)
    assert text.count("</script>") == 3
    text.encode()


def test_a_line_s_calls_and_what_they_changed_are_one_stop() -> None:
    found = stops.stops(reports.report(steps=2))
    assert [(stop.first, stop.last) for stop in found[:4]] == [(0, 0), (1, 1), (2, 3), (4, 5)]
    assert found[2].line is not None
    assert [type(call).__name__ for call in found[2].calls] == ["Backward"]


@pytest.mark.parametrize("name", ["words", "told"])
def test_both_languages_have_every_text_with_the_same_places(name: str) -> None:
    english, chinese = (json.loads(asset(f"{name}.{lang}.json")) for lang in ("en", "zh"))
    assert english.keys() == chinese.keys()
    for key, text in chinese.items():
        assert set(re.findall(r"{(\w+)}", text)) <= set(re.findall(r"{(\w+)}", english[key])), key


def test_the_page_in_chinese_says_the_account_and_every_call_in_chinese() -> None:
    report = reports.report(reports.never_cleared())
    site = reports.STEP
    for kind in ev.EVENTS:
        if kind in SAID:
            report.timeline.append(SAID[kind](len(report.timeline.events) + 100, 3, site))
    told = held(page(report, lang="zh"))
    account = [word for row in told["head"]["account"] for word in row["said"]]  # type: ignore[index]
    assert "全部 3 次更新都改变了它们" in account
    said = [word for position in told["positions"] for word in position.get("says", [])]  # type: ignore[attr-defined]
    assert len(said) > len(SAID)
    assert [words for words in said if not re.search("[\u4e00-\u9fff]", words)] == []


def test_every_text_that_the_page_asks_for_is_there() -> None:
    known = Speech("en").texts
    for name in ASSETS:
        source = asset(name)
        asked = re.findall(r'say\("([\w.-]+)"', source) + re.findall(r"{{say ([\w.-]+)}}", source)
        assert [key for key in asked if key not in known] == [], name


@pytest.mark.parametrize("cells", [[3, 10, 1], [2]])
def test_cells_of_a_notebook_stand_in_their_order(cells: list[int]) -> None:
    report = reports.report(steps=0)
    report.program = "lab.ipynb"
    report.sources = {f"lab.ipynb[{cell}]": "x = 1" for cell in cells} | {"build.py": ""}
    titles = [file["title"] for file in held(page(report))["files"]]  # type: ignore[attr-defined]
    assert titles[: len(cells)] == [f"cell [{cell}]" for cell in sorted(cells)]


def test_a_report_shows_itself_in_a_notebook_and_in_a_console(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    plain = reports.report(reports.never_cleared())
    report = steplens.Report(**{name: getattr(plain, name) for name in plain.__struct_fields__})
    shown = report._repr_html_()
    assert shown.startswith('<div class="steplens-report"><pre class="steplens-text">')
    assert shown.index("error[SL201 gradients-never-cleared]") < shown.index("<iframe")
    assert "zh-Hans" in shown
    assert repr(report) == report.text("concise").rstrip()
    assert report.text("html").startswith("<!doctype html>")
