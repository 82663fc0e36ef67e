"""Run the pipeline, or one stage of it: `python -m pipeline [--only STAGE] [--from HOUR] [--to HOUR]`."""

from __future__ import annotations

import argparse
import sys

from gcs_export_pipeline.config import REPORTED, Config, ConfigError, new_run_id, parse_hour
from pipeline import summary
from pipeline.run import STAGES, run


def main() -> int:
    """0 when every stage succeeded and the rows add up, 1 with what to do otherwise."""
    parser = argparse.ArgumentParser(prog="pipeline", description=__doc__)
    parser.add_argument("--only", choices=[*STAGES, "rollback", "summary"], help="one stage; summary counts everything")
    parser.add_argument("--from", dest="start", default="", metavar="HOUR", help="first ingest hour, as 2026-01-03T00")
    parser.add_argument("--to", dest="end", default="", metavar="HOUR", help="first ingest hour after the window")
    parser.add_argument(
        "--replay", action="store_true", help="again what was set aside by another contract than the present one"
    )
    parser.add_argument("--full", action="store_true", help="make every row of the candidate anew")
    parser.add_argument("--force", default="", metavar="REASON", help="publish what the gate has not passed")
    args = parser.parse_args()
    try:
        config = Config.from_environment()
        bounds = [parse_hour(hour) for hour in (args.start, args.end) if hour]
        if len(bounds) == 2 and bounds[0] >= bounds[1]:
            raise ConfigError("TO must be later than FROM: the window is [FROM, TO)")
        if args.only != "summary":
            only = (args.only,) if args.only else ()
            return run(config, new_run_id(), args.start, args.end, only, args.full, args.replay, args.force)
        counted = summary.collect(config)
        counted.tables = summary.count_tables(config, published=True)
    except REPORTED as error:
        print(f"\npipeline: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npipeline: ended; the published tables are as they were, the same command goes on", file=sys.stderr)
        return 130
    summary.show(counted)
    for problem in counted.problems:
        print(f"pipeline: {problem}", file=sys.stderr)
    return int(bool(counted.problems))


if __name__ == "__main__":
    sys.exit(main())
