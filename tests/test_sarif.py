"""The sarif view keeps to SARIF 2.1.0.

``pydantic_sarif`` is generated from the official schema of OASIS: each object knows its properties,
and allows no others. What that leaves out (which are required, patterns, least lengths) is written
down here for the part that the view uses. Findings of every rule, in both languages, were also
tried by hand against the schema's own JSON (errata 01), with no error.
"""

import json

import jsonschema
import pydantic_sarif.model as official
import pytest

import reports
import watching
from steplens import views
from steplens.model.report import Report
from steplens.rules import RULES, pages

TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 1}  # lines and columns are counted from 1


def thing(required=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def many(items, least=0):
    return {"type": "array", "items": items, "minItems": least}


LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = thing(["text"], text=TEXT, markdown=TEXT)
REGION = thing(startLine=COUNT, startColumn=COUNT, endLine=COUNT, endColumn=COUNT)
LOCATION = thing(
    id={"type": "integer", "minimum": -1},
    physicalLocation=thing(
        ["artifactLocation"], artifactLocation=thing(["uri"], uri=TEXT), region=REGION
    ),
    logicalLocations=many(thing(name=TEXT, kind=TEXT)),
    message=MESSAGE,
)
STOP = thing(["location"], location=LOCATION, executionOrder={"type": "integer", "minimum": -1})
RESULT = thing(
    ["message"],
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=MESSAGE,
    locations=many(LOCATION),
    relatedLocations=many(LOCATION),
    partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
    codeFlows=many(
        thing(["threadFlows"], threadFlows=many(thing(["locations"], locations=many(STOP, 1)), 1))
    ),
)
RULE = thing(
    ["id"],
    id=TEXT,
    name=TEXT,
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=thing(level=LEVEL),
)
DRIVER = thing(
    ["name"],
    name=TEXT,
    version=TEXT,
    language={"type": "string", "pattern": "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$"},
    rules=many(RULE),
)
INVOCATION = thing(
    ["executionSuccessful"],
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications=many(thing(["message"], level=LEVEL, message=MESSAGE)),
)
RUN = thing(
    ["tool"],
    tool=thing(["driver"], driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=many(RESULT),
    invocations=many(INVOCATION),
)
LOG = thing(["version", "runs"], version={"const": "2.1.0"}, runs=many(RUN), **{"$schema": TEXT})
SHOWN = 1024  # letters of a description that GitHub's code scanning takes


def log(report, lang="en"):
    look = views.Look(pages={rule.code: pages.page(rule, lang) for rule in RULES}, lang=lang)
    return json.loads(views.show(report, "sarif", look))


@pytest.mark.parametrize(
    "report",
    [
        Report(),
        reports.report(),
        reports.report(reports.never_cleared(), reports.never_cleared()),
    ],
    ids=["empty", "clean", "findings"],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_sarif_of_a_report_has_the_required_properties_and_no_foreign_ones(report, lang):
    jsonschema.validate(log(report, lang), LOG)
    official.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate(log(report, lang))


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_is_described_in_what_code_scanning_shows(rule, lang):
    import msgspec

    finding = msgspec.structs.replace(
        reports.never_cleared(), code=rule.code, name=rule.name, severity=rule.severity
    )
    driver = log(reports.report(finding), lang)["runs"][0]["tool"]["driver"]
    told = driver["rules"][0]
    full = told["fullDescription"]["text"]
    assert told["shortDescription"]["text"] == pages.summary(rule, lang)
    assert full.startswith(pages.summary(rule, lang) + "\n\n")
    assert len(full) <= SHOWN
    assert "#" not in full.replace("# steplens", "")
    assert told["help"]["markdown"] == pages.page(rule, lang)
    assert driver["language"] == {"en": "en-US", "zh": "zh-CN"}[lang]


PROGRAM = """
import torch
from torch import nn


def train(steps=STEPS):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        model(torch.randn(4, 3)).pow(2).mean().backward()
        optimizer.step()
"""


def test_a_fingerprint_outlives_unrelated_edits_and_longer_runs(tmp_path):
    file = tmp_path / "program.py"
    found = []
    for steps, above in ((3, ""), (3, "# a comment\n\nUNRELATED = 1\n"), (40, "")):
        file.write_text(above + PROGRAM.replace("STEPS", str(steps)))
        results = log(watching.watched(watching.load(file).train))["runs"][0]["results"]
        found.append({each["ruleId"]: each["partialFingerprints"] for each in results})
    assert found[0]["SL201"]
    assert found[0] == found[1] == found[2]
    file.write_text(PROGRAM.replace("STEPS", "3").replace("optimizer.step()", "optimizer.step( )"))
    results = log(watching.watched(watching.load(file).train))["runs"][0]["results"]
    assert {each["ruleId"]: each["partialFingerprints"] for each in results} != found[0]
