"""Run the pipeline, or one stage of it: `python -m pipeline [--only STAGE] [--from HOUR] [--to HOUR]`."""

from __future__ import annotations

import argparse
import sys

from gcs_export_pipeline.config import REPORTED, Config, new_run_id, parse_hour
from pipeline import summary
from pipeline.stages import BUILD, StageError, execute, stages


def main() -> int:
    """0 when every stage succeeded and the rows add up, 1 with what to do otherwise."""
    parser = argparse.ArgumentParser(prog="pipeline", description=__doc__)
    parser.add_argument(
        "--only", choices=["dimensions", "load", "transform", "quality", "publish", "summary"], help="one stage"
    )
    parser.add_argument("--from", dest="start", default="", metavar="HOUR", help="first ingest hour, as 2026-01-03T00")
    parser.add_argument("--to", dest="end", default="", metavar="HOUR", help="first ingest hour after the window")
    args = parser.parse_args()
    try:
        config = Config.from_environment()
        for hour in (args.start, args.end):
            if hour:
                parse_hour(hour)
        chosen = [stage for stage in stages(new_run_id(), args.start, args.end) if args.only in (None, stage.name)]
        seconds = {stage.name: execute(stage) for stage in chosen}
        if args.only not in (None, "summary"):
            return 0
        result = summary.collect(config)
    except (*REPORTED, StageError) as error:
        print(f"\npipeline: {error}", file=sys.stderr)
        return 1
    print()
    summary.show(result, seconds)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "summary.json").write_text(summary.as_json(result))
    if result.problems:
        print("\npipeline: the rows do not add up:\n  " + "\n  ".join(result.problems), file=sys.stderr)
        return 1
    print(
        "The rows add up. Where to look next:\n"
        f"  the tables      dataset {config.warehouse}; "
        f"make query SQL='select * from {config.warehouse}.dim_customer limit 5'\n"
        f"  the checks      {BUILD}/quality/summary.md\n"
        f"  quarantine      make quarantine, gs://{config.bucket}/quarantine/\n"
        f"  logs            {BUILD}/logs/"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
