"""The alert rules and the dashboard: what they ask is there to be asked, and each alert says what to do."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

OPERATIONS = settings.BASE_DIR / "docs/operations"
ALERTS = OPERATIONS / "alerts.yaml"
RUNBOOK = OPERATIONS / "runbook.md"
METRICS = OPERATIONS / "metrics.md"
PROMTOOL = shutil.which("promtool")
OF_PROMETHEUS = {"up"}
"""What Prometheus knows by itself."""
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset", "le", "inf"}

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [
        panel for panel in json.loads((OPERATIONS / "dashboard.json").read_text())["panels"] if panel.get("targets")
    ]


def questions() -> Iterator[tuple[str, str]]:
    """Name and PromQL of everything that is asked."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def metrics_of(expression: str) -> set[str]:
    """The names of the series that an expression reads."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return {name for name in re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", bare) if name not in WORDS}


@cache
def exported() -> set[str]:
    """The series of all metrics in the document's tables."""
    if not METRICS.exists():
        pytest.skip("docs/operations/metrics.md is not there yet")
    names: set[str] = set()
    for cell, kind in re.findall(r"^\| (`[^|]+`) \| (counter|gauge|histogram) \|", METRICS.read_text(), re.MULTILINE):
        for name in re.findall(r"`([a-z_]+)`", cell):
            names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    assert names, f"no table of metrics was found in {METRICS.name}"
    return names


def test_the_series_of_an_expression_are_found():
    expression = 'sum by (job) (rate(a_total{job=~"x b"}[5m])) / on (job) sum(b) > 0.1 and absent(c_count) or up == 0'

    assert metrics_of(expression) == {"a_total", "b", "c_count", "up"}


def test_every_series_that_is_asked_for_is_exported():
    missing = {(name, series) for name, expr in questions() for series in metrics_of(expr) - exported() - OF_PROMETHEUS}

    assert missing == set()


def test_every_alert_has_its_section_in_the_runbook():
    sections = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    text = {section.partition("\n")[0]: section for section in sections}

    assert [rule["alert"] for rule in alerts()] == list(text), "one section for each alert, in the same order"
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/operations/runbook.md#{rule['alert'].lower()}"
        for part in (r"\*\*Means\*\*: \S", r"\*\*Look( and do)?\*\*: \S", r"\*\*(Look and )?[Dd]o\*\*: \S"):
            assert re.search(part, text[rule["alert"]]), (rule["alert"], part)


def test_every_alert_says_how_urgent_it_is_and_what_happens():
    for rule in alerts():
        assert rule["labels"] == {"severity": rule["labels"]["severity"]}
        assert rule["labels"]["severity"] in ("page", "look")
        assert set(rule["annotations"]) == {"summary", "runbook"}


def test_every_faults_table_is_referenced_in_the_runbook():
    """A table in a document about faults has its section linked."""
    text = RUNBOOK.read_text()
    for document, heading in (
        ("faults.md", "which-test-shows-it"),
        ("faults.md", "a-long-run"),
        ("faults.md", "what-it-found"),
        ("ledger.md", "what-a-crash-leaves"),
        ("page-cache.md", "what-a-failure-leaves"),
        ("streams.md", "when-something-is-away"),
    ):
        assert f"(../{document}#{heading})" in text
    tables = re.findall(
        r"^## (.+)$(?:(?!^## )[\s\S])*?^\|", (OPERATIONS.parent / "faults.md").read_text(), re.MULTILINE
    )
    assert [heading.lower().replace(" ", "-") for heading in tables] == [
        "which-test-shows-it", "a-long-run", "what-it-found",
    ]  # fmt: skip


def test_the_dashboards_panels_do_not_lie_on_each_other():
    dashboard = json.loads((OPERATIONS / "dashboard.json").read_text())
    cells = Counter(
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    )

    assert [cell for cell, count in cells.items() if count > 1 or cell[0] >= 24] == []
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels():
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


@needs_promtool
def test_prometheus_takes_the_rules_and_the_dashboards_queries(tmp_path):
    recorded = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m")}
        for number, (_, expr) in enumerate(questions())
    ]
    queries = tmp_path / "queries.yaml"
    queries.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": recorded}]}))

    assert promtool("check", "rules", str(ALERTS)) == (0, f"SUCCESS: {len(alerts())} rules found")
    assert promtool("check", "rules", str(queries)) == (0, f"SUCCESS: {len(recorded)} rules found")


@needs_promtool
def test_alerts_fire_and_keep_quiet_when_they_should(tmp_path):
    """``alerts_test.yaml`` has a site that is well, and one fault for each alert."""
    text = Path(__file__).with_name("alerts_test.yaml").read_text().replace("ALERTS", str(ALERTS))
    (tmp_path / "test.yaml").write_text(text)
    tried = {
        case["alertname"]
        for test in yaml.safe_load(text)["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }

    assert promtool("test", "rules", str(tmp_path / "test.yaml")) == (0, "SUCCESS")
    assert tried == {rule["alert"] for rule in alerts()}


def promtool(*arguments: str) -> tuple[int, str]:
    """The exit status, and the last line of what it says."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    output = (done.stdout + done.stderr).strip()
    return done.returncode, output.splitlines()[-1].strip() if done.returncode == 0 else output
