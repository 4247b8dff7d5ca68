"""Boxes as one Parquet file: its rows and groups for different numbers of boxes a media."""

import pytest
from pyarrow import parquet

from scripts import export_parquet as step
from scripts.lib.detections import HEADER
from scripts.lib.records.record_files import write_record
from tests.made_records import detection_record


def exported(folder, counts, monkeypatch, rows_at_once):
    """Export media with `counts` boxes; return the table."""
    monkeypatch.setattr(step, "ROWS_AT_ONCE", rows_at_once)
    (folder / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    csvs, outcomes = [], []
    for media_id, count in enumerate(counts, start=1):
        csvs.append(folder / f"{media_id}.csv")
        outcomes.append(folder / f"{media_id}.json")
        rows = [f"{media_id}_name,{frame},1.000,2.500,30.000,40.000,0.250000:0.750000,2\n" for frame in range(count)]
        csvs[-1].write_text(f"{HEADER}\n" + "".join(rows))
        write_record(outcomes[-1], detection_record(media_id=media_id))
    table = folder / "boxes.parquet"
    step.export_parquet(detections=csvs, outcomes=outcomes, train_ini=folder / "train.ini", table=table)
    return parquet.ParquetFile(table)


@pytest.mark.parametrize(
    ("counts", "groups"),
    [([1] * 25, [10, 10, 5]), ([0, 23, 0, 2], [10, 10, 5]), ([10, 10], [10, 10]), ([4, 0], [4]), ([0], []), ([], [])],
)
def test_rows_of_many_media_share_a_group(tmp_path, monkeypatch, counts, groups):
    found = exported(tmp_path, counts, monkeypatch, 10)
    assert [found.metadata.row_group(at).num_rows for at in range(found.num_row_groups)] == groups
    expected = [
        {
            **{"media_id": media_id, "video_id": f"{media_id}_name", "frame": frame},
            **{"x": 1.0, "y": 2.5, "w": 30.0, "h": 40.0},
            **{"species": "crab", "score": 0.75, "scores": [0.25, 0.75]},
        }
        for media_id, count in enumerate(counts, start=1)
        for frame in range(count)
    ]
    assert found.read().to_pylist() == expected


def test_many_pictures_with_few_boxes_are_smaller_than_as_csv(tmp_path, monkeypatch):
    exported(tmp_path, [2] * 1000, monkeypatch, step.ROWS_AT_ONCE)
    csv = sum(path.stat().st_size for path in tmp_path.glob("*.csv"))
    assert (tmp_path / "boxes.parquet").stat().st_size < csv / 2
