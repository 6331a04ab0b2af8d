"""The page in a real browser: what a reader sees, with keys, without a mouse, in both themes."""

import html
import subprocess
import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import browser
import hostile
import reports
from browser import NARROW, Sheet
from steplens import views
from steplens.model import codec
from steplens.model import event as ev
from steplens.model.state import Digest
from steplens.views.page import embedded
from steplens.views.paint import Look
from steplens.views.values import nested

NOTEBOOK = Path(__file__).parents[1] / "examples" / "reference_notebook.ipynb"


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The reference notebook's page as the command writes it, and its report."""
    folder = tmp_path_factory.mktemp("notebook")
    command = [sys.executable, "-m", "steplens", "run", "--output-format", "html", str(NOTEBOOK)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (page,) = (folder / ".steplens").glob("*.html")
    assert done.stdout.splitlines()[-1] == f"page: {page.relative_to(folder)}"
    return page, codec.read(page.with_suffix(".json"))


@pytest.fixture
def opened(chromium):
    """Opens pages, and asserts that nothing went wrong in any."""
    sheets = []

    def open_page(path, event=None, **context):
        sheets.append(Sheet(chromium, path, event, **context))
        return sheets[-1]

    yield open_page
    for sheet in sheets:
        sheet.close()


@pytest.fixture
def written(tmp_path):
    """Writes a report's page."""

    def write(report, lang="en"):
        path = tmp_path / f"page-{lang}.html"
        text = views.show(report, "html", Look(lang=lang, pages={"SL201": "A page.\n\n## Why"}))
        path.write_text(text, encoding="utf-8")
        return path

    return write


# -- stepping -----------------------------------------------------------------------------------


def states(report):
    """What each part of the state holds after each line that changed it, from the Report alone."""
    held, out = {}, {}
    for event in report.timeline.events:
        if isinstance(event, ev.Line):
            for change in event.changes:
                if isinstance(change.after, Digest):
                    held[change.subject] = nested(change.after.values, change.after.shape)
                elif change.part == "gradient":
                    held[change.subject] = "None"
            out[event.index] = dict(held)
    return out


def as_in_the_report(shown):
    """The page's names as the report has them: `step of x` is `optimizer.step[x]`."""
    named = {}
    for title, held in shown.items():
        key, _, tensor = title.partition(" of ")
        named[f"optimizer.{key}[{tensor}]" if tensor else title] = held
    return named


def test_stepping_through_the_reference_notebook_shows_the_numbers_of_the_report(notebook, opened):
    page, report = notebook
    sheet = opened(page, 0)
    expected = states(report)
    seen = {}
    for _ in range(60):
        end = int(sheet.text("#now .event").replace("#", "").split("–")[-1])
        seen[end] = as_in_the_report(sheet.tensors())
        before = sheet.event
        sheet.press("ArrowRight")
        if sheet.event == before:
            break
    assert expected.keys() <= seen.keys()
    for index, parts in expected.items():
        assert {name: seen[index][name] for name in parts} == parts
    assert seen[24]["mlp.weight"] == "[[1, 0.5174]]"
    assert seen[19]["mlp.weight.grad"] == "[[0, 8]]"


def test_it_opens_at_the_finding_with_cause_effect_and_evidence(notebook, opened):
    sheet = opened(notebook[0])
    assert sheet.event == 22
    card = sheet.text("#card")
    for words in ("SL304", "[2]:10", "[9]:1", "stepped with the old moments here", "0.4826"):
        assert words in card
    assert "optimizer.step()" in sheet.text("#code .row.ran")
    assert sheet.page.locator(".pin.warning").count() == 1
    assert sheet.page.locator(".pin.cause").count() == 3
    sheet.page.locator(".card .rule summary").click()
    assert "What it does" in sheet.text(".card .rule")
    sheet.page.locator("#card .mark", has_text="[2]:11").click()
    assert sheet.event == 11
    assert "self.mlp.bias.data.fill_(0)" in sheet.text("#code .row.ran")


def test_the_ledger_says_which_backwards_a_gradient_holds(notebook, opened):
    sheet = opened(notebook[0], 18)
    ledger = sheet.page.locator(".ledger").first
    said = "holds backward #15 from [9]:5 and backward #18 from [10]:3; no step has used it yet"
    assert ledger.inner_text() == said
    sheet.press("ArrowRight")
    assert ledger.inner_text().endswith("; used by step 2")
    ledger.get_by_role("button").first.click()
    assert sheet.event == 15
    sheet.press("Home", "ArrowRight", "ArrowRight", "ArrowRight")
    assert ledger.is_visible()


def test_changes_are_told_in_words(notebook, opened):
    sheet = opened(notebook[0], 19)
    changed = sheet.page.locator(".tensor.changed .change").all_inner_texts()
    assert changed == ["was [[0, 4]]", "was [2]"]
    sheet.press("ArrowLeft", "ArrowLeft")
    assert sheet.page.locator(".tensor.changed .change").all_inner_texts() == ["was None"] * 2
    sheet.page.evaluate("location.hash = '#e=13'")
    sheet.page.locator(".flag.mode.changed").first.wait_for()
    assert sheet.page.locator(".flag.mode.changed").first.inner_text() == "eval was train"


def test_every_key_does_what_the_help_says(notebook, opened):
    sheet = opened(notebook[0], 0)
    sheet.press("ArrowRight")
    assert sheet.event == 1
    sheet.press("ArrowLeft")
    assert sheet.event == 0
    sheet.press("Shift+ArrowRight")
    assert "step 1" in sheet.text("#now")
    sheet.press("Shift+ArrowRight")
    assert "step 2" in sheet.text("#now")
    sheet.press("Shift+ArrowLeft")
    assert "step 1" in sheet.text("#now")
    sheet.press("]")
    assert sheet.event == 22
    sheet.press("Home")
    assert sheet.event == 0
    sheet.press("[")
    assert sheet.event == 22
    sheet.press("Home", "End")
    assert sheet.event == 22
    sheet.press("?")
    assert sheet.page.locator("dialog#help").is_visible()
    sheet.press("ArrowLeft")
    assert sheet.event == 22
    sheet.press("Escape")
    assert not sheet.page.locator("dialog#help").is_visible()
    before = sheet.page.evaluate("getComputedStyle(document.body).backgroundColor")
    sheet.press("t")
    assert sheet.page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_a_line_walks_through_its_events(notebook, opened):
    sheet = opened(notebook[0], 0)
    for _ in range(2):
        sheet.page.locator(".row.visited", has_text="self.mlp.weight.data.fill_(1)").get_by_role(
            "button"
        ).click()
        assert sheet.event == 10
    sheet.press("n", "p")
    assert sheet.event == 10


def test_search_finds_a_parameter_a_line_and_an_event(notebook, opened):
    sheet = opened(notebook[0], 0)
    sheet.press("/")
    sheet.page.keyboard.type("weight")
    assert sheet.page.locator("#results [aria-selected=true] code").inner_text() == "mlp.weight"
    sheet.press("Enter")
    assert sheet.page.locator(".tensor.found").count() == 1
    sheet.press("/")
    sheet.page.keyboard.type("zero_grad")
    expect(sheet.page.locator("#results [aria-selected=true]")).to_contain_text("zero_grad")
    sheet.press("Enter")
    assert "model.zero_grad()" in sheet.text("#now .line")
    sheet.press("/")
    sheet.page.keyboard.type("#18")
    sheet.press("Enter")
    assert sheet.event == 18
    sheet.press("/")
    sheet.page.keyboard.type("no such thing")
    assert sheet.text("#results") == "nothing found"


def test_slider_and_pins_move_through_the_run(notebook, opened):
    sheet = opened(notebook[0], 0)
    sheet.page.locator("#slider").evaluate(
        "(it) => { it.value = 18; it.dispatchEvent(new Event('input')); }"
    )
    assert sheet.event == 18
    assert "loss.backward()" in sheet.page.locator("#slider").get_attribute("aria-valuetext")
    sheet.page.locator(".tick").click()
    assert sheet.event == 22


def test_the_line_before_and_the_line_after_are_marked(notebook, opened):
    sheet = opened(notebook[0], 5)
    assert "optimizer.step()" in sheet.text(".row.ran")
    assert "model.zero_grad()" in sheet.text(".row.next")
    assert sheet.text(".row.ran .runs") == "1×"
    assert sheet.page.locator(".row.ran .chip").get_attribute("aria-label") == "optimizer step × 1"


# -- for everybody ---------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_axe_finds_nothing_wrong(notebook, opened, theme, size):
    context = {"viewport": NARROW} if size == "narrow" else {}
    sheet = opened(notebook[0], color_scheme=theme, **context)
    found = Axe().run(sheet.page)
    assert [(v["id"], v["nodes"][0]["html"]) for v in found.response["violations"]] == []
    assert not sheet.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    sheet.press("/")
    assert [v["id"] for v in Axe().run(sheet.page).response["violations"]] == []


def test_the_reader_s_theme_is_there_before_the_first_paint(notebook, opened):
    sheet = opened(notebook[0], color_scheme="light")
    sheet.page.locator("#theme").click()
    sheet.page.wait_for_function("localStorage.length && document.documentElement.dataset.theme")
    sheet.page.reload()
    assert sheet.page.evaluate("document.documentElement.dataset.theme") == "dark"
    head = sheet.page.locator("head > script, head > style")
    assert head.first.evaluate("(it) => it.tagName") == "SCRIPT"


def test_moves_are_announced_and_every_part_can_be_reached_by_keys(notebook, opened):
    sheet = opened(notebook[0], 0)
    sheet.press("ArrowRight")
    assert "optimizer = optim.Adam" in sheet.page.locator("#live").inner_text()
    reached = set()
    for _ in range(40):
        sheet.press("Tab")
        reached.add(sheet.page.evaluate("document.activeElement.id"))
    assert {"search-open", "theme", "help-open", "code", "state", "go-on", "slider"} <= reached


def test_without_scripts_the_report_stands_there_as_text(notebook, opened):
    sheet = opened(notebook[0], java_script_enabled=False)
    assert "warning[SL304 stale-optimizer-state]" in sheet.text("noscript")


def test_the_page_speaks_chinese(written, opened):
    sheet = opened(written(reports.report(reports.never_cleared()), "zh"))
    assert sheet.page.locator("html").get_attribute("lang") == "zh-Hans"
    assert "错误" in sheet.text("#card")
    assert "反向" in sheet.text("#labels")
    assert "全部 3 次更新都改变了它们" in sheet.page.locator("#run").text_content()
    rule = sheet.page.locator("#card .body > p").first
    assert rule.inner_text() == "A page."  # what the rule finds, in the reader's words


# -- other runs ---------------------------------------------------------------------------------


def test_a_clean_run_opens_at_the_beginning_and_says_what_was_looked_at(written, opened):
    sheet = opened(written(reports.report()))
    assert sheet.event == 0
    run = sheet.text("#run")
    assert "2 rules had something to look at" in run
    assert "other ranks (this process only)" in run
    assert sheet.text("#findings") == "✓ no findings"
    sheet.press("ArrowRight")
    assert not sheet.page.locator("#run-text").is_visible()


def test_a_long_run_is_told_whole_and_says_what_is_missing(written, opened):
    report = reports.report(steps=3000)
    sheet = opened(written(report))
    missing = f"{report.timeline.dropped:,} events in the middle, counted and not kept one by one"
    assert missing in sheet.text("#run")
    assert sheet.page.locator("#zoom").is_visible()
    sheet.page.evaluate("location.hash = '#e=9000'")
    sheet.page.locator("#now", has_text="counted and not kept one by one").wait_for()
    assert "after 1,79" in sheet.text("#now")
    assert "steps: " in sheet.text("#now")
    sheet.press("End")
    assert "to eval mode" in sheet.text("#now")


def test_text_of_the_user_is_never_markup(written, opened):
    sheet = opened(written(hostile.report()))
    assert sheet.page.evaluate("window.pwned") is None
    assert sheet.page.locator("img, iframe, b#planted").count() == 0
    whole = sheet.page.evaluate("document.body.textContent")
    title = sheet.page.locator("#program span").get_attribute("title")
    assert title is not None
    assert title.startswith(hostile.BREAKOUT + hostile.WORSE)
    assert "\\u202e" in sheet.text("#code")
    assert "\\u2028" in sheet.text("#card")
    for letter in hostile.UNSEEN:
        assert letter not in whole


def test_a_report_without_source_or_events_still_opens(written, opened):
    report = reports.report(reports.never_cleared())
    report.sources = {}
    sheet = opened(written(report))
    assert "the source text was left out of the report" in sheet.text("#code")
    empty = type(report)(program="nothing.py", complete=True)
    assert "No call was seen in this run" in opened(written(empty, "en")).text("#now")


# -- in notebooks ----------------------------------------------------------------------------------


def test_a_notebook_shows_the_page_in_a_frame(tmp_path, opened):
    path = tmp_path / "host.html"
    frame = embedded(reports.report(reports.never_cleared()), Look())
    path.write_text(f"<!doctype html><title>host</title>{frame}", encoding="utf-8")
    sheet = opened(path)
    inside = sheet.page.frame_locator("iframe")
    assert "SL201" in inside.locator("#card").inner_text()
    assert not sheet.page.locator("pre").is_visible()
    inside.locator("#go-first").click()
    assert inside.locator("#position").inner_text().startswith("1 of ")


def test_an_untrusted_notebook_shows_the_text(tmp_path, opened):
    frame = embedded(reports.report(reports.never_cleared()), Look())
    begin, end = frame.index("<style>"), frame.index("</style>") + len("</style>")
    path = tmp_path / "host.html"
    bare = frame[:begin] + frame[end : frame.index("<iframe")] + "</div>"
    path.write_text(f"<!doctype html><title>host</title>{bare}", encoding="utf-8")
    assert "error[SL201 gradients-never-cleared]" in opened(path).text("pre")
    assert html.unescape(frame).startswith('<div class="steplens-report"><pre')
