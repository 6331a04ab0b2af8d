"""Settings: flags over variables over pyproject.toml, and what is refused."""

import io

import pytest

from steplens import config
from steplens.errors import BadSetting


@pytest.fixture
def project(tmp_path):
    def write(text):
        (tmp_path / "pyproject.toml").write_text(f"[tool.steplens]\n{text}\n")
        (tmp_path / "inner").mkdir(exist_ok=True)
        return tmp_path / "inner"

    return write


def load(flags=(), environ=(), start=None):
    return config.load(dict(flags), dict(environ), start)


def test_without_any_setting_the_defaults_hold(tmp_path):
    assert load(start=tmp_path) == config.Config()


def test_flags_win_over_variables_and_variables_over_the_file(project):
    inner = project("steps = 1\nlines = 2\nbudget = 0.5\n")
    found = load(
        {"steps": "3", "ignore": None}, {"STEPLENS_STEPS": "9", "STEPLENS_LINES": "4"}, inner
    )
    assert (found.steps, found.lines, found.budget) == (3, 4, 0.5)


def test_lists_are_written_as_lists_or_with_commas(project):
    inner = project('ignore = ["SL2", "SL101"]\nper-file-ignores = { "tests/*" = ["SL3"] }')
    found = load({"select": ("SL1,SL2", "SL3")}, {"STEPLENS_EXTEND_SELECT": "SL9, SL4"}, inner)
    assert found.ignore == ("SL2", "SL101")
    assert found.select == ("SL1", "SL2", "SL3")
    assert found.extend_select == ("SL9", "SL4")
    assert found.per_file_ignores == {"tests/*": ("SL3",)}


def test_a_chosen_format_is_told_from_the_default(project, tmp_path):
    assert not load(start=tmp_path).format_given
    assert load({"output_format": "full"}, start=tmp_path).format_given
    assert load(start=project('output-format = "full"')).format_given


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('fail_onn = "error"', "did you mean `fail-on`?"),
        ('fail-on = "eror"', "accepted are error, warning, note; did you mean `error`?"),
        ('steps = "many"', "a whole number of 1 or more"),
        ("steps = true", "a whole number"),
        ("steps = 0", "is 0; a whole number of 1 or more"),
        ("lines = -1", "a whole number of 0 or more"),
        ("budget = 2", "a number above 0 and up to 1"),
        ("source = 3", "true or false"),
        ("select = [1]", "a list of rule codes"),
        ('lang = "fr"', "accepted are en, zh"),
        ('per-file-ignores = "x"', "a table"),
        ("steps = ", "cannot read the settings"),
    ],
)
def test_a_wrong_setting_in_the_file_is_refused_with_what_is_accepted(project, setting, said):
    with pytest.raises(BadSetting) as caught:
        load(start=project(setting))
    assert said in str(caught.value)
    assert "pyproject.toml" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_wrong_variable_or_flag_is_refused(tmp_path):
    with pytest.raises(
        BadSetting, match="unknown variable `STEPLENS_STEP`; did you mean `STEPLENS_STEPS`"
    ):
        load({}, {"STEPLENS_STEP": "3"}, tmp_path)
    with pytest.raises(BadSetting, match=r"--output-format is 'jsno'.*did you mean `json`"):
        load({"output_format": "jsno"}, {}, tmp_path)


def test_words_for_a_switch_are_understood(tmp_path):
    assert load({}, {"STEPLENS_QUIET": "Yes", "STEPLENS_SOURCE": "0"}, tmp_path).quiet
    assert not load({}, {"STEPLENS_QUIET": "off", "STEPLENS_SOURCE": "0"}, tmp_path).source


@pytest.mark.parametrize(
    ("environ", "lang"),
    [({}, "en"), ({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LANG": "zh_CN", "LC_ALL": "en_US"}, "en")],
)
def test_the_language_follows_the_locale_unless_it_is_set(tmp_path, environ, lang):
    assert load({}, environ, tmp_path).lang == lang
    assert load({"lang": "en"}, environ, tmp_path).lang == "en"


def test_colour_is_for_terminals_and_obeys_both_variables():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert config.colored(Terminal(), {})
    assert not config.colored(io.StringIO(), {})
    assert not config.colored(Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"})
    assert config.colored(io.StringIO(), {"FORCE_COLOR": "1"})
    assert not config.colored(Terminal(), {"TERM": "dumb"})
