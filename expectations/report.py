"""One result, three forms: JSON for programs, JUnit for CI, Markdown for people."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from expectations.gate import Finding


def write(findings: list[Finding], folder: Path) -> None:
    """Write result.json, junit.xml and summary.md to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps([each.as_dict() for each in findings], indent=1))
    (folder / "junit.xml").write_bytes(junit(findings))
    (folder / "summary.md").write_text(markdown(findings))


def junit(findings: list[Finding]) -> bytes:
    """A test suite a table; what only warns is skipped with its message, since it fails nothing."""
    root = ET.Element("testsuites")
    for table in dict.fromkeys(each.table for each in findings):
        mine = [each for each in findings if each.table == table]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=table,
            tests=str(len(mine)),
            failures=str(sum(each.status == "failed" and each.blocks for each in mine)),
            errors=str(sum(each.status == "error" for each in mine)),
            skipped=str(sum(each.status == "failed" and not each.blocks for each in mine)),
        )
        for each in mine:
            case = ET.SubElement(suite, "testcase", classname=table, name=each.expectation)
            if each.status != "passed":
                kind = "error" if each.status == "error" else "failure" if each.blocks else "skipped"
                ET.SubElement(case, kind, message=each.detail)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def markdown(findings: list[Finding]) -> str:
    """A line that says how it stands, and a table of what did not pass."""
    passed = sum(each.status == "passed" for each in findings)
    lines = [f"## Data quality: {passed} of {len(findings)} expectations passed", ""]
    if bad := [each for each in findings if each.status != "passed"]:
        lines += ["| table | expectation | severity | result | detail |", "|---|---|---|---|---|"]
        cells = ([each.table, each.expectation, each.severity, each.status, each.detail] for each in bad)
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells
        ]
    return "\n".join(lines) + "\n"
