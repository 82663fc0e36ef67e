from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import stages


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


def test_a_stage_ends_when_the_lock_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "LOGS", tmp_path)
    lock = SimpleNamespace(lost=threading.Event())
    threading.Timer(0.5, lock.lost.set).start()
    with pytest.raises(stages.StageError, match="another run took the lock over"):
        stages.execute(stage("import time; time.sleep(60)"), lock)  # type: ignore[arg-type]
