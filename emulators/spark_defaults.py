"""The Spark settings of the local platform: those of `spark/conf` and what fake-gcs-server needs besides."""

from __future__ import annotations

from pathlib import Path

EMULATOR = """
# fake-gcs-server: no project of its own, no objects.moveTo, no storageLayout
spark.hadoop.fs.gs.storage.root.url {storage_host}/
spark.hadoop.fs.gs.project.id local-project
spark.hadoop.fs.gs.operation.move.enable false
spark.hadoop.fs.gs.hierarchical.namespace.folders.enable false
spark.hadoop.fs.gs.http.max.retry 3
"""


def write(folder: Path, storage_host: str) -> None:
    """Write spark-defaults.conf and log4j2.properties to `folder` for a server at `storage_host` (an URL)."""
    conf = Path(__file__).resolve().parents[1] / "spark" / "conf"
    folder.mkdir(parents=True, exist_ok=True)
    defaults = (conf / "spark-defaults.conf").read_text() + EMULATOR.format(storage_host=storage_host)
    (folder / "spark-defaults.conf").write_text(defaults)
    (folder / "log4j2.properties").write_text((conf / "log4j2.properties").read_text())
