"""Config: flags over STEPLENS_* variables over [tool.steplens] in the nearest pyproject.toml."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TextIO, cast

from steplens.errors import BadSetting

OUTPUT_FORMATS = ("full", "concise", "timeline", "json", "sarif", "github", "html")
SEVERITIES = ("error", "warning", "note")
LANGUAGES = ("en", "zh")
PREFIX = "STEPLENS_"
NOT_SETTINGS = ("STEPLENS_GOLD",)  # read by the project's own tests


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of a command, resolved.

    ``steps`` ends the program after that many optimizer steps (None: never), ``lines`` is the
    length of the line-by-line window in steps, ``budget`` the share of a step that watching may
    cost beyond it.
    ``library_frames`` counts the code of installed packages, torch apart, as the user's.
    ``format_given`` says that somebody chose ``output_format``: only the unchosen default may
    turn into ``concise``. ``folder`` is where reports are written.
    """

    steps: int | None = None
    lines: int = 10
    select: tuple[str, ...] = ("ALL",)
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    fail_on: str | None = None
    output_format: str = "full"
    output_file: str | None = None
    source: bool = True
    library_frames: bool = False
    quiet: bool = False
    lang: str = "en"
    budget: float = 0.01
    folder: str = ".steplens"
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    format_given: bool = False


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> Config:
    """The Config for a command begun in ``start`` (default: here).

    ``flags`` are named as the fields of Config; None means not given. Raises BadSetting for an
    unknown name, a wrong type or an unknown value, naming where it stood and what is accepted.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {"lang": spoken(environ)}
    values.update(_from_file(start or Path.cwd()))
    values.update(_from_environment(environ))
    for name, value in flags.items():
        if value is not None:
            values[name] = _checked(name, value, "--" + name.replace("_", "-"))
    return Config(**values, format_given="output_format" in values)  # type: ignore[arg-type]


def spoken(environ: Mapping[str, str] | None = None) -> str:
    """The language of the user's locale: zh for a Chinese one, else en."""
    environ = os.environ if environ is None else environ
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if locale.lower().startswith("zh") else "en"


def colored(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Whether output to ``stream`` is coloured: NO_COLOR, then FORCE_COLOR, then a terminal."""
    environ = os.environ if environ is None else environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    return stream.isatty() and environ.get("TERM") != "dumb"


def launched(environ: Mapping[str, str] | None = None) -> tuple[int, int, str]:
    """The rank that ``torchrun`` (or what sets the same variables) gave this process, the number of
    ranks, and a name for the launch on this machine; (-1, 0, '') for a program of one process."""
    environ = os.environ if environ is None else environ
    rank, world = environ.get("RANK", ""), environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and world.isdecimal()) or int(world) < 2:
        return -1, 0, ""
    names = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
    return (
        int(rank),
        int(world),
        ":".join([*(environ.get(n, "") for n in names), str(os.getppid())]),
    )


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """The close of a message about an unknown ``word``: the nearest known name, if one is near."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.5)
    found = next((name for name in known if close and name.lower() == close[0]), "")
    return f"; did you mean `{found}`?" if found else ""


def _from_file(start: Path) -> dict[str, object]:
    folder = start.resolve()
    path = next(
        (
            p / "pyproject.toml"
            for p in (folder, *folder.parents)
            if (p / "pyproject.toml").is_file()
        ),
        None,
    )
    if path is None:
        return {}
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("steplens", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"cannot read the settings in `{path}`: {error}") from None
    if not isinstance(table, dict):
        raise BadSetting(f"`tool.steplens` in `{path}` is {table!r}; a table is accepted")
    names = {name.replace("_", "-"): name for name in CHECKS}
    values: dict[str, object] = {}
    for key, value in cast("dict[str, object]", table).items():
        where = f"`{key}` in [tool.steplens] of `{path}`"
        if key not in names:
            known = ", ".join(names)
            raise BadSetting(f"unknown setting {where}{nearest(key, list(names))} (known: {known})")
        values[names[key]] = _checked(names[key], value, where)
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {PREFIX + name.upper(): name for name in CHECKS if name != "per_file_ignores"}
    values: dict[str, object] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in names:
            raise BadSetting(f"unknown variable `{variable}`{nearest(variable, list(names))}")
        values[names[variable]] = _checked(names[variable], text, f"`{variable}`")
    return values


def _checked(name: str, value: object, where: str) -> object:
    return CHECKS[name](value, where)


def _refuse(where: str, value: object, accepted: str) -> BadSetting:
    return BadSetting(f"{where} is {value!r}; {accepted}")


def _count(least: int) -> Callable[[object, str], int]:
    def check(value: object, where: str) -> int:
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise _refuse(where, value, f"a whole number of {least} or more is accepted")
        return value

    return check


def _share(value: object, where: str) -> float:
    try:
        share = float(value) if isinstance(value, str | int | float) else -1.0
    except ValueError:
        share = -1.0
    if isinstance(value, bool) or not 0 < share <= 1:
        raise _refuse(where, value, "a number above 0 and up to 1 is accepted, 0.01 is one percent")
    return share


def _names(value: object, where: str) -> tuple[str, ...]:
    several = isinstance(value, list | tuple)
    items = cast("list[object] | tuple[object, ...]", value) if several else [value]
    words = [item for item in items if isinstance(item, str)]
    if len(words) < len(items):
        raise _refuse(where, items, "a list of rule codes, prefixes and names is accepted")
    return tuple(word.strip() for item in words for word in item.split(",") if word.strip())


def _switch(value: object, where: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "": False}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    if not isinstance(value, bool):
        raise _refuse(where, value, "true or false is accepted")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _refuse(where, value, "a path is accepted")
    return value


def _one_of(known: tuple[str, ...]) -> Callable[[object, str], str]:
    def check(value: object, where: str) -> str:
        if value not in known:
            near = nearest(value, known) if isinstance(value, str) else ""
            raise _refuse(where, value, f"accepted are {', '.join(known)}{near}")
        return str(value)

    return check


def _ignores(value: object, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise _refuse(where, value, 'a table such as { "tests/*" = ["SL102"] } is accepted')
    table = cast("dict[str, object]", value)
    return {
        str(pattern): _names(names, f"{where}, `{pattern}`") for pattern, names in table.items()
    }


CHECKS: dict[str, Callable[[object, str], object]] = {
    "steps": _count(1),
    "lines": _count(0),
    "select": _names,
    "ignore": _names,
    "extend_select": _names,
    "fail_on": _one_of(SEVERITIES),
    "output_format": _one_of(OUTPUT_FORMATS),
    "output_file": _text,
    "source": _switch,
    "library_frames": _switch,
    "quiet": _switch,
    "lang": _one_of(LANGUAGES),
    "budget": _share,
    "folder": _text,
    "per_file_ignores": _ignores,
}
assert set(CHECKS) == {each.name for each in fields(Config)} - {"format_given"}
