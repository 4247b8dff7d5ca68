"""Write all boxes as one Parquet file."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from scripts.lib.detections import read_detections
from scripts.lib.files import replacing
from scripts.lib.graphs import train_ini as train
from scripts.lib.records import DetectionRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.jobs import job

# A row group holds rows of several media: with a group for each picture the file would be larger than the CSV, and the
# list of groups, which is kept in memory until the end, would grow with the number of pictures.
ROWS_AT_ONCE = 10_000
SCHEMA = pa.schema(
    [
        ("media_id", pa.int64()),
        ("video_id", pa.dictionary(pa.int32(), pa.string())),
        ("frame", pa.int32()),
        *((name, pa.float64()) for name in ("x", "y", "w", "h")),
        ("species", pa.dictionary(pa.int32(), pa.string())),
        ("score", pa.float32()),
        ("scores", pa.list_(pa.float32())),
    ]
)


def export_parquet(*, detections: list[Path], outcomes: list[Path], train_ini: Path, table: Path) -> None:
    """Write the rows of results/detections.csv, with species' names; memory does not grow with the number of media.

    Args:
        detections: the CSV files of detect, a file for each media.
        outcomes: the records of detect, in the same order.
        train_ini: the species' names.
        table: the file to write.
    """
    names = train.species(train_ini)
    with (
        replacing(table, "wb") as stream,
        parquet.ParquetWriter(stream, SCHEMA, compression="zstd") as writer,
    ):
        entries = _entries(detections, outcomes, names)
        while batch := list(islice(entries, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))


def _entries(detections: list[Path], outcomes: list[Path], names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one media after the other."""
    for path, record in zip(detections, outcomes, strict=True):
        media_id = read_record(DetectionRecord, record).media_id
        for row in read_detections(path):
            yield {
                "media_id": media_id,
                "video_id": row.video_id,
                "frame": row.frame,
                **{"x": row.x, "y": row.y, "w": row.w, "h": row.h},
                "species": names[row.species - 1],
                "score": row.score,
                "scores": row.scores,
            }


if __name__ == "__main__":
    job.run(export_parquet, snakemake)  # type: ignore[name-defined]
