"""The boxes of a run in several COCO files: together they equal the one file."""

import pytest
from pycocotools.coco import COCO

from scripts.commands import coco_parts
from scripts.lib.files import read_json
from scripts.lib.workflow.planning.media_files import move
from scripts.merge_detections import merge_detections
from tests.report_run import FakeRun


@pytest.mark.parametrize("in_folders", [False, True])
def test_the_parts_together_equal_the_whole_file(tmp_path, capsys, in_folders):
    run = FakeRun(tmp_path / "run")
    for number, boxes in enumerate(([(0, 0.9), (1, 0.6)], [], [(1, 0.8)], [(0, 0.7)], [])):
        run.add(f"{number}.mp4", frames=2, boxes=lambda _, boxes=boxes: boxes)
    run.finish()
    results = run.folder / "results"
    merge_detections(
        detections=[results / f"detections/{one}.csv" for one in run.media_ids],
        outcomes=[results / f"detections/{one}.json" for one in run.media_ids],
        train_ini=run.folder / "resources/network/train.ini",
        merged=results / "detections.csv",
        coco=results / "detections.coco.json",
    )
    if in_folders:
        move(run.folder, in_folders=True)
    assert coco_parts.main([str(run.folder), "--media", "2"]) == 0
    assert capsys.readouterr().out == f"{results / 'coco' / 'parts.json'}\n"
    index = read_json(results / "coco" / "parts.json")
    assert index["media_per_file"] == 2
    assert [part["media"] for part in index["parts"]] == [2, 2, 1]
    parts = [read_json(results / "coco" / part["file"]) for part in index["parts"]]
    whole = read_json(results / "detections.coco.json")
    assert all(part["categories"] == whole["categories"] for part in parts)
    for key in ("images", "annotations"):
        assert [one for part in parts for one in part[key]] == whole[key]
        assert [len(part[key]) for part in parts] == [part[key] for part in index["parts"]]
    assert len(COCO(str(results / "coco" / "detections.0002.coco.json")).getAnnIds()) == 4
    assert coco_parts.main([str(run.folder), "--media", "5"]) == 0
    assert sorted(path.name for path in (results / "coco").iterdir()) == ["detections.0001.coco.json", "parts.json"]
    assert read_json(results / "coco" / "detections.0001.coco.json") == whole


def test_a_run_or_number_that_cannot_be_used_is_refused(tmp_path, capsys):
    assert coco_parts.main([str(tmp_path)]) == 1
    assert "has no results/summary.json" in capsys.readouterr().err
    run = FakeRun(tmp_path / "run")
    run.finish()
    with pytest.raises(SystemExit):
        coco_parts.main([str(run.folder), "--media", "0"])
    assert "argument --media: '0' is not a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ['{"media": [\n{"media_id": 1},\n', "{", "[]", '{"media": [{"media_id": 99999999999999999999}]}']
)
def test_a_damaged_summary_is_named(tmp_path, capsys, content):
    run = FakeRun(tmp_path)
    run.add("a.mp4", frames=1)
    run.finish()
    summary = tmp_path / "results/summary.json"
    summary.write_text(content)
    assert coco_parts.main([str(tmp_path)]) == 1
    assert f"{summary}: cannot be read, expected the summary of a run; remove the file" in capsys.readouterr().err
