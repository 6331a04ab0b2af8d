"""The views, against gold files from reports made by hand."""

import json
import re

import msgspec
import pytest

import gold
import reports
from steplens import config, views
from steplens.model import codec
from steplens.model import event as ev
from steplens.model.site import Site
from steplens.model.state import Change, Digest
from steplens.views.account import account_lines
from steplens.views.values import change, number
from steplens.views.window import Mark, windows


def two_findings(**more):
    return reports.report(reports.left_in_eval(), reports.never_cleared(), **more)


@pytest.mark.parametrize("name", [name for name in views.VIEWS if name != "html"])
def test_a_report_with_findings_reads_as_in_the_gold_file(name):
    gold.agree(f"{name}.txt", views.show(two_findings(), name))


@pytest.mark.parametrize("name", ["full", "timeline"])
def test_what_a_chinese_reader_is_shown_reads_as_in_the_gold_file(name):
    look = views.Look(lang="zh", pages={"SL201": "更新时用到了旧的梯度。\n\n## 它做什么\n"})
    gold.agree(f"{name}_zh.txt", views.show(two_findings(), name, look))


def test_a_clean_report_says_that_nothing_was_found_and_how_many_rules_looked():
    text = views.show(reports.report(), "full")
    assert "no findings in 3 steps (19 events); 2 rules ran, 1 had nothing to look at\n" in text
    assert "steplens explain" not in text


def test_the_colours_of_a_view_are_all_that_a_terminal_adds():
    plain = views.show(two_findings(), "full")
    coloured = views.show(two_findings(), "full", views.Look(color=True))
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_square_brackets_of_the_user_are_not_taken_for_markup():
    finding = msgspec.structs.replace(reports.never_cleared(), message="[bold]x[/bold] [1, 2]")
    text = views.show(reports.report(finding), "concise", views.Look(color=True))
    assert "[bold]x[/bold] [1, 2]" in text


def test_without_sources_labels_stand_beside_their_places():
    report = two_findings()
    report.sources = {}
    gold.agree("no_source.txt", views.show(report, "full"))


def test_a_killed_run_a_fault_and_an_unseen_region_are_named():
    report = reports.report()
    report.complete = False
    report.faults, report.not_seen = ["rule SL201 failed"], ["a compiled region at train.py:7"]
    text = views.show(report, "concise")
    assert "incomplete: the program was killed" in text
    assert "not seen: a compiled region at train.py:7" in text
    assert "fault of steplens: rule SL201 failed" in text


def test_the_timeline_without_line_detail_shows_the_calls():
    gold.agree("calls.txt", views.show(two_findings(line_detail=False), "timeline"))


def test_the_timeline_of_a_long_loop_stays_short_and_says_what_it_left_out():
    text = views.show(reports.report(steps=500), "timeline")
    assert len(text.splitlines()) < 40
    assert "... 994 more runs of :8, :9 left out, after 3 to 500 steps" in text


def test_the_timeline_of_many_tensors_names_the_first_and_counts_the_rest():
    many = tuple(Change("gradient", f"layer{i}", None, reports.large(1.0)) for i in range(150))
    report = reports.report()
    report.timeline.append(ev.Line(99, 3, reports.STEP, many))
    text = views.show(report, "timeline")
    assert "... and 140 more: 140 gradient" in text


def test_the_timeline_of_a_notebook_gives_cells():
    report = reports.report(steps=0)
    site = Site("lab.ipynb", 2, 1, cell=4)
    report.timeline.append(ev.Line(9, 0, site, (Change("mode", "model", True, False),)))
    report.sources["lab.ipynb[4]"] = "# evaluate\nmodel.eval()\n"
    text = views.show(report, "timeline")
    assert "lab.ipynb[4]:2" in text
    assert "model.eval()" in text


def test_an_exception_ends_the_timeline():
    report = reports.report(steps=1)
    report.timeline.append(ev.Failure(99, 1, reports.BACKWARD, "RuntimeError", "no graph\nmore"))
    assert views.show(report, "timeline").splitlines()[-1].endswith("raised RuntimeError: no graph")


def test_numbers_have_at_most_four_significant_digits():
    assert [number(x) for x in (0.51739, 0.5, 4.0, 1e-9, 123456.0, -0.0, 7, "nan")] == [
        "0.5174", "0.5", "4", "1e-09", "1.235e+05", "0", "7", "nan",
    ]  # fmt: skip


def test_tensors_are_shown_by_value_when_small_and_by_norm_when_not():
    def said(before, after, part="parameter"):
        return change(Change(part, "x", before, after))

    small = reports.digest(1.0, 0.51739)
    assert said(None, small) == "None -> [[1, 0.5174]]"
    assert said(small, None) == "[[1, 0.5174]] -> None"
    assert said(reports.large(1.23), reports.large(1.31)) == "f32[64, 16] norm 1.23 -> 1.31"
    assert said(reports.large(1.0), reports.large(1.00001)).endswith("norm 1 -> 1 (other values)")
    assert said(None, reports.large(2.0, nonfinite=3)).endswith("norm 2, 3 non-finite")
    assert said(None, Digest("torch.int64", (), 3.0, values=(3,))) == "None -> 3"
    assert said(None, Digest("float32", (0, 3), 0.0, values=())) == "None -> []"
    assert said(None, Digest("float32", (9, 9), None, note="meta")) == "None -> f32[9, 9] meta"
    assert said(True, False, "mode") == "train -> eval"
    assert said(True, False, "trainable") == "True -> False"
    assert said(0.51739, 0.51740, "optimizer") == "0.5174 -> 0.5174 (in digits not shown)"


def test_carets_stand_under_tabs_and_wide_letters():
    text = {"a.py": "\t\t網 = step()\n"}
    mark = Mark(Site("a.py", 1, 7, 1, 13), "here", primary=True)
    code, caret = ("".join(part for part, _ in row) for row in windows([mark], text, "error")[2:4])
    assert code == "1 |         網 = step()"
    assert caret == "  |" + " " * 14 + "^^^^^^ here"


def test_a_place_over_several_lines_has_carets_to_the_end_of_its_first():
    text = {"a.py": "opt.step(\n    closure\n)\n"}
    rows = windows([Mark(Site("a.py", 1, 1, 3, 2), "", primary=True)], text, "error")
    assert "".join(part for part, _ in rows[3]) == "  | ^^^^^^^^^"


def test_lines_far_apart_are_cut_between():
    text = {"a.py": "".join(f"line{i}\n" for i in range(1, 30))}
    marks = [Mark(Site("a.py", 20, 1), "", True), Mark(Site("a.py", 3, 1), "", False)]
    shown = ["".join(part for part, _ in row) for row in windows(marks, text, "error")]
    assert "..." in shown
    assert " 3 | line3" in shown
    assert "20 | line20" in shown


def test_the_account_says_what_trained_what_did_not_and_in_which_order():
    gold.agree("account.txt", "\n".join(account_lines(reports.report())) + "\n")


def test_a_run_that_never_trains_says_so():
    said = account_lines(reports.report(steps=0))
    assert said == ["trained    nothing: no backward pass and no optimizer step"]


def test_json_is_the_report_that_show_reads_again():
    report = two_findings()
    again = codec.decode(views.show(report, "json").encode(), "json")
    assert again == report


def test_sarif_names_the_rules_and_does_not_change_its_fingerprint_with_counts():
    look = views.Look(pages={"SL201": "Gradients used twice.\n\n## What it does\nFinds them."})
    log = json.loads(views.show(two_findings(), "sarif", look))
    (run,) = log["runs"]
    rule = run["tool"]["driver"]["rules"][run["results"][1]["ruleIndex"]]
    assert rule["id"] == run["results"][1]["ruleId"] == "SL201"
    assert rule["fullDescription"]["text"].endswith("Finds them.")
    longer = reports.report(reports.left_in_eval(), reports.never_cleared(2, 400), steps=9)
    after = json.loads(views.show(longer, "sarif"))["runs"][0]["results"]
    prints = [[r["partialFingerprints"] for r in results] for results in (run["results"], after)]
    assert prints[0] == prints[1]
    flow = run["results"][1]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [stop["executionOrder"] for stop in flow] == sorted(s["executionOrder"] for s in flow)


def test_a_github_command_keeps_to_one_line_whatever_the_message():
    finding = msgspec.structs.replace(
        reports.never_cleared(), message="50%\n::error::x", help="a, b: c"
    )
    text = views.show(reports.report(finding), "github")
    assert len(text.splitlines()) == 1
    assert "50%25%0A" in text


def test_with_many_findings_the_default_is_concise_and_a_choice_is_obeyed():
    many = reports.report(*[reports.never_cleared()] * 21)
    assert views.fitting(many, "full", chosen=False) == "concise"
    assert views.fitting(many, "full", chosen=True) == "full"
    assert views.fitting(reports.report(), "full", chosen=False) == "full"


def test_the_settings_know_every_view():
    assert tuple(views.VIEWS) == config.OUTPUT_FORMATS
