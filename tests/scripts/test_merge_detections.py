"""One CSV and one COCO file of all media, in the order of the arguments."""

import contextlib
import csv
import io
import json

import pandas as pd
import pytest
from pycocotools.coco import COCO

from scripts.lib.errors import PipelineError
from scripts.lib.records.record_files import write_record
from scripts.merge_detections import merge_detections
from tests.made_records import detection_record

HEADER = "video_id,frame,x,y,w,h,det_conf,det_species\n"
MEDIA = {
    7: "7_b,0,1.000,2.000,3.000,4.500,0.9:0.1,1\n7_b,0,5.000,5.000,2.000,2.000,0.2:0.8,2\n",
    3: "",
    5: '"5_a, ""quoted""\nand broken",9,0.000,0.000,640.000,360.000,0.4:0.6,2\n',
}


@pytest.fixture
def merged(tmp_path):
    def merge(media=MEDIA, cut=0):
        (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
        for media_id, rows in media.items():
            (tmp_path / f"{media_id}.csv").write_text(HEADER + rows)
            count = len(list(csv.reader(io.StringIO(rows))))
            write_record(tmp_path / f"{media_id}.json", detection_record(media_id=media_id, boxes=count - cut))
        merge_detections(
            detections=[tmp_path / f"{media_id}.csv" for media_id in media],
            outcomes=[tmp_path / f"{media_id}.json" for media_id in media],
            train_ini=tmp_path / "train.ini",
            merged=tmp_path / "merged.csv",
            coco=tmp_path / "coco.json",
        )
        return tmp_path / "merged.csv", tmp_path / "coco.json"

    return merge


def test_the_merged_csv_has_all_rows_below_one_header(merged):
    path, _ = merged()
    assert path.read_text() == HEADER + "".join(MEDIA.values())
    rows = pd.read_csv(path)
    assert rows["video_id"].tolist() == ["7_b", "7_b", '5_a, "quoted"\nand broken']


def test_coco_is_read_by_pycocotools(merged):
    _, path = merged()
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["cod", "crab"]
    images = coco.loadImgs(coco.getImgIds())
    assert [(image["media_id"], image["frame"], image["width"]) for image in images] == [(7, 0, 640), (5, 9, 640)]
    boxes = coco.loadAnns(coco.getAnnIds(imgIds=[images[0]["id"]]))
    assert [(box["bbox"], box["score"], box["category_id"]) for box in boxes] == [
        ([1.0, 2.0, 3.0, 4.5], 0.9, 1),
        ([5.0, 5.0, 2.0, 2.0], 0.8, 2),
    ]
    assert boxes[0]["area"] == 13.5


def test_no_boxes_at_all(merged):
    path, coco = merged({3: ""})
    assert path.read_text() == HEADER
    assert json.loads(coco.read_text()) == {
        "categories": [{"id": 1, "name": "cod"}, {"id": 2, "name": "crab"}],
        "annotations": [],
        "images": [],
    }


def test_a_damaged_row_is_named_and_no_file_is_left(merged, tmp_path):
    with pytest.raises(PipelineError, match=r"7\.csv:2: frame is 'x'"):
        merged({7: "7_b,x,1.000,2.000,3.000,4.500,0.9:0.1,1\n"})
    assert not (tmp_path / "coco.json").exists()


def test_a_csv_that_was_cut_at_the_end_of_a_line_is_not_merged(merged):
    with pytest.raises(PipelineError, match=r"7\.csv: it has 2 rows, expected 3, the boxes in 7\.json; remove"):
        merged(cut=-1)
