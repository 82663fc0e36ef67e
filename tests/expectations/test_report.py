from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from expectations import report
from expectations.gate import Finding

FINDINGS = [
    Finding("dim_a", "keys are unique", "critical", "passed"),
    Finding("dim_a", "shares | hold", "warning", "failed", "observed 0.9"),
    Finding("dim_b", "rows are there", "critical", "failed", "0 rows"),
    Finding("dim_b", "broken", "warning", "error", "no such column"),
]


def test_what_blocks() -> None:
    assert [each.blocks for each in FINDINGS] == [False, False, True, True]


def test_three_reports_tell_the_same(tmp_path: Path) -> None:
    report.write(FINDINGS, tmp_path)
    assert [each["status"] for each in json.loads((tmp_path / "result.json").read_text())] == [
        "passed",
        "failed",
        "failed",
        "error",
    ]
    suites = {suite.get("name"): suite for suite in ET.parse(tmp_path / "junit.xml").getroot()}
    counts = {
        name: tuple(suite.get(kind) for kind in ("failures", "errors", "skipped")) for name, suite in suites.items()
    }
    assert counts == {"dim_a": ("0", "0", "1"), "dim_b": ("1", "1", "0")}
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("## Data quality: 1 of 4 expectations passed")
    assert "shares \\| hold" in text
    assert "keys are unique" not in text
