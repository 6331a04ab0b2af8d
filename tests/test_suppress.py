"""Ignore comments, per-file ignores and allowed regions."""

import msgspec

import reports
from steplens.check.allow import Regions, allow, block_end
from steplens.check.suppress import apply, ignores
from steplens.model.site import Site

COMMENT = "# steplens: ignore[gradients-never-cleared] we accumulate"


def at(line, file="train.py", cell=0):
    return msgspec.structs.replace(reports.never_cleared(), at=Site(file, line, 1, cell=cell))


def verdict(source, line, ran=("SL201",), **more):
    done = apply([at(line)], {"train.py": source}, ran=ran, **more)
    return len(done.suppressed), [note.code for note in done.kept]


def test_a_comment_at_the_end_of_the_line_suppresses_by_name_and_by_code():
    assert verdict(f"x = 1\nstep()  {COMMENT}\n", 2) == (1, [])
    assert verdict("step()  # noqa # steplens: ignore[sl201, SL201] why\n", 1, ran=()) == (1, [])


def test_a_comment_on_another_line_suppresses_nothing_and_is_reported():
    assert verdict(f"step()\nx = 1  {COMMENT}\n", 1) == (0, ["SL201", "SL001"])


def test_a_comment_holds_for_every_line_of_its_statement():
    source = f"y = 1\nstep(\n    closure,\n)  {COMMENT}\nz = 2\n"
    assert [verdict(source, line)[0] for line in (1, 2, 3, 4, 5)] == [0, 1, 1, 1, 0]


def test_a_comment_on_a_loop_holds_for_its_head_only():
    source = f"for x in data:  {COMMENT}\n    step()\n"
    assert verdict(source, 2)[0] == 0


def test_the_words_in_a_string_are_not_a_comment():
    assert ignores("train.py", f'step("{COMMENT}")\nx = """\n{COMMENT}\n"""\n') == []


def test_a_comment_of_a_rule_that_did_not_run_is_not_called_unused():
    assert verdict(f"step()\nx = 1  {COMMENT}\n", 1, ran=()) == (0, ["SL201"])


def test_unused_comments_are_not_reported_when_their_rule_is_not_selected():
    assert verdict(f"step()\nx = 1  {COMMENT}\n", 1, selected=()) == (0, ["SL201"])


def test_a_comment_that_names_no_rule_is_reported():
    done = apply([], {"a.py": "x = 1  # steplens: ignore[gradient-never-cleared]\n"})
    assert done.kept[0].message.startswith("no rule is called `gradient-never-cleared`")
    assert "names no rule" in apply([], {"a.py": "x = 1  # steplens: ignore\n"}).kept[0].message


def test_comments_in_a_notebook_hold_for_their_own_cell():
    sources = {"lab.ipynb[2]": f"%matplotlib inline\n!echo don't\nstep()  {COMMENT}\n"}
    done = apply([at(3, "lab.ipynb", 2), at(3, "lab.ipynb", 1)], sources, ran=["SL201"])
    assert [finding.at.cell for finding in done.suppressed] == [2]


def test_files_are_ignored_by_pattern_with_codes_prefixes_and_names():
    for pattern, word in (
        ("train.py", "SL2"),
        ("tr*.py", "SL201"),
        ("*", "gradients-never-cleared"),
    ):
        assert len(apply([at(1)], {}, per_file={pattern: (word,)}).suppressed) == 1
    assert len(apply([at(1)], {}, per_file={"other.py": ("SL2",)}).kept) == 1


def recorded(events):
    clock = iter(events)
    return Regions(lambda: next(clock), lambda name: (name.rpartition("/")[2], 0))


def test_a_region_suppresses_what_points_into_it_and_what_was_made_in_it():
    regions = recorded([4, 7])
    with allow("gradients-never-cleared", reason="on purpose"):
        begin = 0
    regions.close()
    (region,) = regions.all
    assert region.last_line - region.first_line == 1
    inside = at(region.last_line, region.file)
    elsewhere = msgspec.structs.replace(at(1, "other.py"), event=5)
    later = msgspec.structs.replace(at(1, "other.py"), event=7)
    done = apply([inside, elsewhere, later], {}, regions=regions.all)
    assert done.suppressed == [inside, elsewhere]
    assert done.kept == [later]
    assert begin == 0


def test_a_region_entered_before_the_run_is_watched_counts_until_it_ends():
    with allow("SL201"):
        regions = recorded([0, 3])
        assert [region.last_event for region in regions.all] == [-1]
    assert [region.last_event for region in regions.all] == [3]
    regions.close()


def test_a_region_lets_exceptions_through_and_leaves_nothing_behind():
    regions = recorded([0, 1])
    try:
        with allow("SL201"):
            raise KeyError("x")
    except KeyError as error:
        seen = error
    regions.close()
    assert seen.args == ("x",)
    with allow("SL201"):
        pass
    assert len(regions.all) == 1


def test_the_end_of_a_block_is_its_own_line_when_the_source_is_not_known():
    assert block_end("<nowhere>", 7) == 7
