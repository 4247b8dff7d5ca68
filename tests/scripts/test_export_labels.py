"""Exports for other programs: their content, and that other packages read the same boxes."""

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import supervision
import yaml
from defusedxml.ElementTree import parse

from scripts.export_cvat import export_cvat
from scripts.export_label_studio import export_label_studio
from scripts.export_megadetector import export_megadetector
from scripts.export_yolo import export_yolo
from scripts.lib.detections import HEADER
from scripts.lib.files import write_json
from scripts.lib.records.record_files import as_content
from tests.made_records import detection_record
from tests.report_run import PROVENANCE

NAMES = ["cod", "crab & <co>"]
ODD = os.fsdecode(b"caf\xe9.jpg")


class Run:
    """The files of a run that the exports read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, list[Path]] = {"records": [], "outcomes": [], "detections": []}
        (folder / "train.ini").write_text("[Data]\nSpecies=" + ",".join(NAMES) + "\n")
        write_json(folder / "provenance.json", PROVENANCE)

    def add(self, path, *, kind="image", boxes=(), state="done", local=True, frames=1):
        number = len(self.files["records"]) + 1
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        record = {"media_id": number, "state": "ready", "reason": None, "name": name, "kind": kind}
        record |= {"fps": 12.5} if kind == "video" else {}
        record |= {"local": {"path": path, "size": 1, "modified_ns": 1}} if local else {}
        read = state != "unreadable"
        found = detection_record(
            decoded=frames if read else 0, media_id=number, name=name, kind=kind, state=state,
            reason=None if read else "junk", width=200 if read else 0, height=100 if read else 0,
            asked={"frame_stride": 2, "frame_range": None, "max_frames": None},
        )  # fmt: skip
        outcome = as_content(found)
        rows = [f"{number}_x,{frame},{x},{y},{w},{h},{conf},{species}\n" for frame, x, y, w, h, conf, species in boxes]
        for sort, content in (("records", json.dumps(record)), ("outcomes", json.dumps(outcome)),
                              ("detections", HEADER + "\n" + "".join(rows))):  # fmt: skip
            file = self.folder / f"{sort}_{number}"
            file.write_text(content)
            self.files[sort].append(file)

    def export(self, function, **out):
        function(**self.files, train_ini=self.folder / "train.ini", **out)


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    run.add("cam1/a.jpg", boxes=[(0, 20, 10, 40, 20, "0.9:0.1", 1), (0, 150, 90, 60, 30, "0.2:0.5", 2)])
    run.add("cam1/empty.jpg", state="no detections")
    run.add(ODD, boxes=[(0, 0, 0, 200, 100, "0.25:0.75", 2)])
    run.add("clip.mp4", kind="video", frames=31, boxes=[
        (4, 20, 10, 40, 20, "0.9:0.1", 1), (4, 0, 0, 10, 10, "0.8:0.1", 1), (20, 20, 10, 40, 20, "0.3:0.6", 2),
    ])  # fmt: skip
    run.add("junk.jpg", state="unreadable")
    return run


def test_megadetector(run, tmp_path):
    path = tmp_path / "out.json"
    run.export(export_megadetector, provenance=tmp_path / "provenance.json", keep_threshold=0.3, megadetector=path)
    content = json.loads(path.read_text())
    assert content["info"] == {
        "format_version": "1.5",
        "detector": "network",
        "detector_metadata": {"conservative_detection_threshold": 0.3},
    }
    assert content["detection_categories"] == {"1": "cod", "2": "crab & <co>"}
    first, empty, odd, video, junk = content["images"]
    assert first == {
        "file": "cam1/a.jpg",
        "detections": [
            {"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]},
            # Clipped at the picture's edge.
            {"category": "2", "conf": 0.5, "bbox": [0.75, 0.9, 0.25, 0.1]},
        ],
    }
    assert empty == {"file": "cam1/empty.jpg", "detections": []}
    assert odd["file"] == ODD  # as Python names the file
    assert video["frame_rate"] == 12.5
    assert video["frames_processed"] == list(range(0, 31, 2))
    assert [found["frame_number"] for found in video["detections"]] == [4, 4, 20]
    assert junk == {"file": "junk.jpg", "failure": "unreadable: junk", "detections": None}


def test_yolo(run, tmp_path):
    run.export(export_yolo, yolo=tmp_path / "yolo")
    labels = tmp_path / "yolo" / "labels"
    found = {str(path.relative_to(labels)): path.read_text() for path in labels.rglob("*.txt")}
    assert found.keys() == {
        "cam1/a.txt",
        os.fsdecode(b"caf\xe9.txt"),
        "clip/0000/00000004.txt",
        "clip/0000/00000020.txt",
    }
    assert found["cam1/a.txt"] == "0 0.200000 0.200000 0.200000 0.200000\n1 0.875000 0.950000 0.250000 0.100000\n"
    data = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())
    assert (data["nc"], data["names"]) == (2, dict(enumerate(NAMES)))
    # Ultralytics resolves `path` from the current folder; without it, folders are relative to the file.
    assert (data.keys(), data["train"]) == ({"train", "val", "nc", "names"}, "images")


def test_yolo_read_by_supervision(run, tmp_path):
    import cv2
    import numpy as np

    run.export(export_yolo, yolo=tmp_path / "yolo")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "a.jpg"), np.zeros((100, 200, 3), np.uint8))
    read = supervision.DetectionDataset.from_yolo(
        str(pictures), str(tmp_path / "yolo" / "labels" / "cam1"), str(tmp_path / "yolo" / "data.yaml")
    )
    assert read.classes == NAMES
    [(_, _, boxes)] = list(read)
    np.testing.assert_allclose(boxes.xyxy, [[20, 10, 60, 30], [150, 90, 200, 100]], atol=0.01)
    assert boxes.class_id.tolist() == [0, 1]


def test_yolo_files_of_two_pictures_with_the_same_stem(tmp_path):
    run = Run(tmp_path)
    for name in ("a.jpg", "a.png"):
        run.add(name, boxes=[(0, 0, 0, 100, 50, "0.9:0.1", 1)])
    run.export(export_yolo, yolo=tmp_path / "yolo")
    assert {path.name for path in (tmp_path / "yolo" / "labels").iterdir()} == {"a.txt", "a.png.txt"}


LONG = "x" * 253 + ".j"


@pytest.mark.parametrize(
    ("media", "labels"),
    [
        ([("a.png.jpg", False), ("a.jpg", True), ("a.png", True)], {"a.txt": "1", "3.txt": "2"}),
        ([("2.jpg", True), (LONG, True)], {"2.txt": "0", "2_2.txt": "1"}),
        ([(LONG, True), ("1.jpg", True)], {"1.txt": "0", "1.jpg.txt": "1"}),
    ],
)
def test_yolo_labels_of_a_picture_are_not_under_the_name_of_another(tmp_path, media, labels):
    run = Run(tmp_path)
    for at, (name, seen) in enumerate(media):
        run.add(name, boxes=[(0, 0, 0, 100, 50, "0.9:0.1:0.1", at + 1)] if seen else [])
    run.export(export_yolo, yolo=tmp_path / "yolo")
    found = {path.name: path.read_text()[0] for path in (tmp_path / "yolo" / "labels").iterdir()}
    assert found == labels


def test_names_in_tator_stay_in_the_folder(tmp_path):
    run = Run(tmp_path)
    for name in ("../../escape.mp4", "/etc/passwd", "", "a b.JPG"):
        run.add(name, boxes=[(0, 0, 0, 100, 50, "0.9:0.1", 1)], local=False)
    run.export(export_yolo, yolo=tmp_path / "yolo")
    labels = tmp_path / "yolo" / "labels"
    assert {str(path.relative_to(labels)) for path in labels.rglob("*") if path.is_file()} == {
        "1_escape.txt", "2_passwd.txt", "3_.txt", "4_a_b.txt",
    }  # fmt: skip


def test_cvat(run, tmp_path):
    run.export(export_cvat, cvat=tmp_path / "cvat")
    assert {path.name for path in (tmp_path / "cvat").iterdir()} == {"pictures.xml", "4.xml"}
    pictures = parse(tmp_path / "cvat" / "pictures.xml").getroot()
    assert pictures.findtext("version") == "1.1"
    assert [label.findtext("name") for label in pictures.iter("label")] == NAMES
    images = list(pictures.iter("image"))
    assert [image.attrib["name"] for image in images] == ["cam1/a.jpg", "cam1/empty.jpg", "caf\\xe9.jpg"]
    assert [image.attrib["id"] for image in images] == ["0", "1", "2"]
    boxes = [_box(box) for box in images[0]]
    assert boxes == [("cod", 20, 10, 60, 30, 0.9), ("crab & <co>", 150, 90, 200, 100, 0.5)]
    video = list(parse(tmp_path / "cvat" / "4.xml").getroot().iter("image"))
    assert [(image.attrib["id"], image.attrib["name"], len(image)) for image in video] == [
        ("4", "frame_000004", 2),
        ("20", "frame_000020", 1),
    ]


def _box(box: ET.Element) -> tuple[str | float, ...]:
    corners = (float(box.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    return box.attrib["label"], *corners, float(box.findtext("attribute") or "nan")


def test_label_studio(run, tmp_path):
    path = tmp_path / "tasks.json"
    run.export(export_label_studio, provenance=tmp_path / "provenance.json", label_studio=path)
    first, empty, odd, video = json.loads(path.read_text())
    assert first["data"] == {"image": "/data/local-files/?d=cam1/a.jpg", "media_id": 1}
    [prediction] = first["predictions"]
    assert prediction["model_version"] == "network"
    assert prediction["score"] == pytest.approx(0.7)
    one, other = prediction["result"]
    assert one["value"] == {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["cod"]}
    assert (one["original_width"], one["original_height"], one["score"]) == (200, 100, 0.9)
    assert one["id"] != other["id"]
    assert empty["predictions"] == [{"model_version": "network", "result": []}]
    assert odd["data"]["image"] == "/data/local-files/?d=caf%E9.jpg"
    assert (video["data"]["video"], video["data"]["fps"]) == ("/data/local-files/?d=clip.mp4", 12.5)
    region = video["predictions"][0]["result"][2]
    assert region["type"] == "videorectangle"
    assert region["value"]["labels"] == ["crab & <co>"]
    [shown] = region["value"]["sequence"]
    assert (shown["frame"], shown["enabled"], shown["time"]) == (21, False, 1.6)


def test_a_run_without_readable_media(tmp_path):
    run = Run(tmp_path)
    run.add("junk.jpg", state="unreadable")
    origin = {"provenance": tmp_path / "provenance.json"}
    run.export(export_label_studio, **origin, label_studio=tmp_path / "tasks.json")
    assert json.loads((tmp_path / "tasks.json").read_text()) == []
    run.export(export_megadetector, **origin, keep_threshold=0.1, megadetector=tmp_path / "m.json")
    assert [image["file"] for image in json.loads((tmp_path / "m.json").read_text())["images"]] == ["junk.jpg"]
    run.export(export_cvat, cvat=tmp_path / "cvat")
    assert not list(parse(tmp_path / "cvat" / "pictures.xml").getroot().iter("image"))
    run.export(export_yolo, yolo=tmp_path / "yolo")
    assert (tmp_path / "yolo" / "data.yaml").exists()
