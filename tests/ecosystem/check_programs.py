"""Each program of a library group under steplens: what `make ecosystem` asserts.

Run as `python check_programs.py GROUP`, with the Python of the group's own environment. A program
that begins with `bad_` has findings exactly where its comments say; every other has none of warning
or above, and knows the parameters that its `# trains:` line names. Steps are seen in every one that
does not say `# no steps`.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRON = {
    "PYTHONPATH": str(HERE.parent.parent / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore", "NO_COLOR": "1", "PYTHONHASHSEED": "0",
}  # fmt: skip
EXPECTED = re.compile(r"#.*?\b(SL\d{3})\s*$")
TRAINS = re.compile(r"^# trains: (.*)$", re.MULTILINE)


def report(program: Path) -> tuple[int, dict[str, object], str]:
    """The exit status of a program under steplens, its Report, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        words = ["--output-format", "json", "--output-file", str(file)]
        done = subprocess.run(
            [sys.executable, "-m", "steplens", "run", *words, str(program)],
            cwd=folder,
            env={**os.environ, **ENVIRON},
            capture_output=True,
            text=True,
            timeout=600,
        )
        found = json.loads(file.read_text()) if file.exists() else {}
        return done.returncode, found, done.stdout + done.stderr


def faults(program: Path) -> Iterator[str]:
    """What is wrong with one program's Report, in words; nothing when all is right."""
    status, found, said = report(program)
    if status or not found:
        yield f"ended with {status}:\n{said[-2000:]}"
        return
    yield from (f"fault of steplens: {fault}" for fault in found["faults"])
    source = program.read_text()
    lines = source.splitlines()
    expected = {
        (n, match[1]) for n, line in enumerate(lines, 1) if (match := EXPECTED.search(line))
    }
    loud = [finding for finding in found["findings"] if finding["severity"] != "note"]
    places = {((finding["at"] or {}).get("line", 0), finding["code"]) for finding in loud}
    yield from (f"not found: {code} at line {line}" for line, code in sorted(expected - places))
    for finding in loud:
        at = finding["at"] or {}
        if (at.get("line", 0), finding["code"]) not in expected:
            yield f"false alarm: {finding['code']} at {at.get('file')}:{at.get('line')}"
    timeline = found["timeline"]
    for event in timeline["head"] + timeline["tail"]:
        if event["site"] is not None and not event["site"]["file"].endswith(program.name):
            yield f"a site outside the program: {event['kind']} at {event['site']}"
            break
    names = {entry["name"] for entry in found["roster"]["tensors"].values()}
    for match in TRAINS.finditer(source):
        wanted = {name.strip() for name in match[1].split(",")}
        yield from (f"no parameter is called {name}" for name in sorted(wanted - names))
    if bool(found["steps"]) == ("# no steps\n" in source):
        yield f"{found['steps']} steps were seen"


def main(group: str) -> int:
    """Check every program of a group; 1 when something is wrong."""
    programs = sorted((HERE / group).glob("*.py"))
    wrong = 0
    for program in programs:
        said = list(faults(program))
        wrong += bool(said)
        print(f"{'FAIL' if said else 'ok':<5} {group}/{program.name}", flush=True)
        for words in said:
            print(f"      {words}", flush=True)
    print(f"{len(programs) - wrong} of {len(programs)} programs of {group} are as they should be")
    return 1 if wrong or not programs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
