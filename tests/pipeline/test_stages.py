from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline import stages
from pipeline.summary import Summary


def stage(code: str) -> stages.Stage:
    return stages.Stage("demo", "does something", [sys.executable, "-c", code], "mend it", shows="^seen")


def test_a_stage_shows_what_matters_and_logs_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "LOGS", tmp_path)
    stages.execute(stage("print('seen'); print('noise')"))
    assert "seen" in capsys.readouterr().out
    assert (tmp_path / "demo.log").read_text() == "seen\nnoise\n"


def test_a_failed_stage_raises_with_its_end_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "LOGS", tmp_path)
    with pytest.raises(stages.StageError, match=r"(?s)exit status 3.*boom.*mend it"):
        stages.execute(stage("import sys; print('boom', file=sys.stderr); sys.exit(3)"))


COUNTS = {"parquet": 5, "staging": 5, "keys": 3, "candidate": 3, "published": 3}
EVENTS = {"raw": 9, "valid": 5, "quarantined": 1, "duplicates": 3}


@pytest.mark.parametrize(
    ("events", "counts", "said"),
    [
        ({"raw": 10}, {}, "raw events are not valid"),
        ({}, {"parquet": 6}, "6 rows in Parquet, 5 in staging"),
        ({}, {"candidate": 4, "published": 4}, "3 keys in staging, 4 rows"),
        ({}, {"published": 2}, "3 rows checked, 2 published"),
        ({"valid": 6, "duplicates": 2}, {}, "6 valid events, 5 in staging.metadata"),
    ],
)
def test_sums_that_do_not_hold_are_named(events: dict[str, int], counts: dict[str, int], said: str) -> None:
    assert Summary(EVENTS, {}, {"metadata": COUNTS}, {}).problems == []
    (problem,) = Summary(EVENTS | events, {}, {"metadata": COUNTS | counts}, {}).problems
    assert said in problem
