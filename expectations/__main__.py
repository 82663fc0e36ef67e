"""`python -m expectations`: 0 all blocking expectations hold, 1 the data failed some, 2 it could not be checked."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from gcs_export_pipeline.config import Config, ConfigError


def main() -> int:
    """Check the candidate dataset and write the reports."""
    parser = argparse.ArgumentParser(prog="expectations", description=__doc__)
    parser.add_argument(
        "--reports", type=Path, default=Path("build/quality"), help="folder of the reports (default build/quality)"
    )
    args = parser.parse_args()
    began = time.monotonic()
    try:
        from expectations import gate, report  # Great Expectations takes seconds to import: only when it is needed

        config = Config.from_environment()
        gate.preflight(config)
        findings = gate.run(config)
        report.write(findings, args.reports)
    except ConfigError as error:
        print(f"expectations: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # whatever went wrong, nothing was proved
        print(f"expectations: could not check: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    for each in findings:
        if each.status != "passed":
            print(f"  {each.status:6} {each.severity:8} {each.table}: {each.expectation}: {each.detail}")
    passed = sum(each.status == "passed" for each in findings)
    print(
        f"  {passed} of {len(findings)} expectations passed in {time.monotonic() - began:.0f} s; "
        f"report: {args.reports / 'summary.md'}"
    )
    if any(each.status == "error" for each in findings):
        return 2
    return int(any(each.blocks for each in findings))


if __name__ == "__main__":
    sys.exit(main())
