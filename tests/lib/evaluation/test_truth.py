"""Files of true boxes in the formats that users have."""

import json
from dataclasses import replace

import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation import truth_check
from scripts.lib.evaluation.truth import LabeledBox, foreign_truth, read_truth, write_truth
from tests.made_records import media_record

MEDIA = [
    media_record(media_id=7, name="reef.mp4", kind="video"),
    media_record(media_id=8, name="still.a.png", kind="image"),
    media_record(media_id=9),
]
NAMES = ["cod", "crab"]
BOX = LabeledBox((7, 3), (1.0, 2.0, 3.0, 4.0), "crab")


def boxes(tmp_path, content, name="truth.csv", media=MEDIA):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return list(foreign_truth(path, media, NAMES))


@pytest.mark.parametrize(
    "content",
    [
        "media_id,frame,x,y,w,h,species\n7,3,1,2,3,4,crab\n",
        "\ufeffvideo_id,frame,x,y,width,height,species_id\n7_reef,3,1,2,3,4,2\n",
        "video_id,frame,x,y,w,h,det_conf,det_species\n7_reef,3,1.000,2.000,3.000,4.000,0.1:0.9,2\n",
        "video_id, frame, x, y, width, height, theta, label\nreef,3,1,2,3,4,0, crab\n",
        "frame,x,y,width,height,label\n3,1,2,3,4,crab\n",
    ],
)
def test_csv(tmp_path, content):
    assert boxes(tmp_path, content) == [BOX]


@pytest.mark.parametrize(
    "image",
    [
        {"id": 1, "file_name": "7/00000003", "media_id": 7, "frame": 3},
        {"id": 1, "file_name": "7/00000003.jpg"},
        {"id": 1, "file_name": "reef.mp4", "frame": 3},
        {"id": 1, "file_name": "reef.mp4", "frame_index": 3},
        {"id": 1, "media_id": 7, "frame_index": 3},
    ],
)
def test_coco(tmp_path, image):
    annotation = {"id": 5, "image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]}
    content = {"images": [image], "annotations": [annotation], "categories": [{"id": 4, "name": "crab"}]}
    assert boxes(tmp_path, content, "truth.json") == [BOX]


def test_names_and_crowds_of_coco(tmp_path):
    annotations = [{"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4], "iscrowd": crowd} for crowd in (0, 1)]
    content = {
        "images": [{"id": 1, "media_id": 7, "frame": 3}],
        "annotations": annotations,
        "categories": [{"id": 4, "name": " crab "}],
    }
    found = boxes(tmp_path, content, "truth.json")
    assert found == [BOX, replace(BOX, is_crowd=True)]
    write_truth(tmp_path / "written.csv", found)
    assert read_truth(tmp_path / "written.csv") == found
    assert list(foreign_truth(tmp_path / "written.csv", MEDIA, NAMES)) == found


FOLDER = [
    media_record(media_id=11, name="cam1/a.jpg", kind="image"),
    media_record(media_id=12, name="cam2/a.jpg", kind="image"),
    media_record(media_id=13, name="cam2/00000005.jpg", kind="image"),
]


def test_files_of_a_folder_by_their_paths(tmp_path):
    head = "video_id,frame,x,y,w,h,label\n"
    names = ["cam2/a.jpg", "cam1/a", "12_cam2/a", "00000005", "cam2/00000005.jpg"]
    found = boxes(tmp_path, head + "".join(f"{name},0,1,2,3,4,cod\n" for name in names), media=FOLDER)
    assert [box.picture for box in found] == [(12, 0), (11, 0), (12, 0), (13, 0), (13, 0)]
    images = [{"id": at, "file_name": name} for at, name in enumerate(("cam1/a.jpg", "cam2/00000005.jpg"))]
    annotations = [{"id": at, "image_id": at, "category_id": 4, "bbox": [1, 2, 3, 4]} for at in (0, 1)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 4, "name": "crab"}]}
    assert [box.picture for box in boxes(tmp_path, content, "t.json", FOLDER)] == [(11, 0), (13, 0)]
    with pytest.raises(PipelineError, match=r"2 media are called 'a\.jpg'; expected .* its path"):
        boxes(tmp_path, head + "a.jpg,0,1,2,3,4,cod\n", media=FOLDER)


@pytest.mark.parametrize("name", ["\u00e9t\u00e9/a.jpg", "e\u0301te\u0301/a.jpg", "x/\u00e9te\u0301/a.png"])
def test_composed_and_decomposed_accents_are_equal(tmp_path, name):
    for path in ("\u00e9t\u00e9/a.jpg", "e\u0301te\u0301/a.jpg"):
        media = [media_record(media_id=7, name=path, kind="image"), media_record(media_id=8, name="b.jpg")]
        coco = {
            "images": [{"id": 1, "file_name": name}],
            "categories": [{"id": 1, "name": "cod"}],
            "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]}],
        }
        assert [box.picture for box in boxes(tmp_path, coco, "t.json", media)] == [(7, 0)]


def test_files_of_other_folders_are_not_of_the_run(tmp_path):
    head = "video_id,frame,x,y,w,h,label\n"
    one = [
        media_record(media_id=11, name="cam1/0001.jpg", kind="image"),
        media_record(media_id=16, name="dive.mp4", kind="video"),
        media_record(media_id=17, name="00000012.jpg", kind="image"),
    ]
    names = ["cam2/0001.jpg", "103_cam2/0001", "survey/cam1/0001.jpg", "0001", "all/00000012.jpg"]
    found = boxes(tmp_path, head + "".join(f"{name},0,1,2,3,4,cod\n" for name in names), media=one)
    assert [box.picture for box in found] == [(11, 0), (11, 0), (17, 0)]  # not those of cam2
    files = ["cam2/IMG_7.jpg", "cam1/0001", "images/cam1/0001.jpg", "16/00000012.jpg"]
    images = [{"id": at, "file_name": name} for at, name in enumerate(files)]
    annotations = [{"id": at, "image_id": at, "category_id": 4, "bbox": [1, 2, 3, 4]} for at in range(len(files))]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 4, "name": "crab"}]}
    assert [box.picture for box in boxes(tmp_path, content, "t.json", one)] == [(11, 0), (11, 0), (16, 12)]


@pytest.mark.parametrize("name", ["reef.mp4", "reef", "x/reef.mp4", "x/reef"])
def test_a_name_of_several_media_is_refused(tmp_path, name):
    two = [media_record(media_id=number, name="reef.mp4", kind="video") for number in (7, 8)]
    with pytest.raises(PipelineError, match=r"2 media are called .*reef.*; expected .* media_id"):
        boxes(tmp_path, f"video_id,frame,x,y,w,h,label\n{name},3,1,2,3,4,cod\n", media=two)
    with pytest.raises(PipelineError, match=r"2 media are called .*reef"):
        boxes(tmp_path, coco_images({"file_name": name, "frame": 3}), "t.json", two)
    [box] = boxes(tmp_path, coco_images({"file_name": "8_reef", "frame": 3}), "t.json", two)
    assert box.picture == (8, 3)


ODD = "a b/Caf\u00e9 (1).v2.mp4"
ANY = [
    *(media_record(media_id=at, name=f"IMG_{at:03d}.jpg", kind="image") for at in (1, 2, 3)),
    media_record(media_id=16, name="reef.mp4", kind="video"),
    media_record(media_id=17, name=ODD, kind="video"),
    media_record(media_id=18, name="7.mp4", kind="video"),
    media_record(media_id=13, name="00000005.jpg", kind="image"),
]


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        # Names of other pictures and clips that begin with a number.
        ("1_IMG_901.jpg", None), ("2/IMG_902.jpg", None), ("1/7.jpg", None), ("16_other_0007.png", None),
        ("16_reef_0007.png", None), ("16_other/7.jpg", None), ("16_reef/x.jpg", None), ("16/2026/7.jpg", None),
        # A frame of a video whose number is not in the name.
        ("reef.png", None), ("16_reef", None), ("16", None),
        ("1_IMG_001.jpg", (1, 0)), ("2/IMG_002.jpg", (2, 0)), ("3_IMG_003", (3, 0)), ("3/00000000.jpg", (3, 0)),
        ("3", (3, 0)), ("all/3/IMG_003.jpg", (3, 0)),
        ("reef.mp4", (16, 0)), ("16_reef.mp4", (16, 0)), ("16/7.jpg", (16, 7)), ("18/7.jpg", (18, 7)),
        ("13/00000005.jpg", (13, 0)), ("1_IMG_001.png", (1, 0)), ("16_reef/0001/00010007.jpg", (16, 10007)),
        ("16/0000/00000007.jpg", (16, 7)), ("16/0001/00000007.jpg", None),
        ("17_Caf_1_v2/00000007.jpg", (17, 7)), (f"17_{ODD}", (17, 0)), ("17_Cafe\u0301 (1).v2.mp4", (17, 0)),
    ],
)  # fmt: skip
def test_the_media_and_frame_in_the_name_of_a_picture(tmp_path, name, picture):
    images = coco_images({"file_name": name}, {"media_id": 16, "frame": 1})
    found = [box.picture for box in boxes(tmp_path, images, "t.json", ANY)]
    assert found == ([] if picture is None else [picture]) + [(16, 1)]


@pytest.mark.parametrize(
    "name", ["16_reef", "16_reef.mp4", "16", f"17_{ODD[:-4]}", "17_Cafe\u0301 (1).v2", "17_Caf_1_v2"]
)
def test_a_name_that_begins_with_the_number_of_its_media(tmp_path, name):
    head = "video_id,frame,x,y,w,h,label\n"
    [box] = boxes(tmp_path, f"{head}{name},3,1,2,3,4,cod\n16_other,3,1,2,3,4,cod\n", media=ANY)
    assert box.picture == (int(name[:2]), 3)


def test_two_images_of_a_video_without_frames_are_refused(tmp_path):
    """Both would be its first frame; two images of one picture have the same boxes."""
    with pytest.raises(PipelineError, match=r"images 0 and 1 are both frame 0 of 'reef\.mp4', as they have no 'frame'"):
        boxes(tmp_path, coco_images(*[{"file_name": "reef.mp4"}] * 2), "t.json", ANY)
    assert truth_check.problem_of_boxes(tmp_path / "t.json", [16], NAMES) is None  # it may be a picture
    assert len(boxes(tmp_path, coco_images(*[{"file_name": "IMG_001.jpg"}] * 2), "t.json", ANY)) == 2


def test_an_image_of_a_video_needs_a_frame(tmp_path):
    picture = {"media_id": 16, "file_name": "x/00000012.jpg"}
    assert [box.picture for box in boxes(tmp_path, coco_images(picture), "t.json", ANY)] == [(16, 12)]
    with pytest.raises(PipelineError, match=r"an image of media 16 has no frame, and is called 'reef_12\.jpg'"):
        boxes(tmp_path, coco_images(picture | {"file_name": "reef_12.jpg"}), "t.json", ANY)
    assert truth_check.problem_of_boxes(tmp_path / "t.json", [16], NAMES) is None  # it may be a picture


def coco_images(*images):
    return {
        "images": [{"id": at, **image} for at, image in enumerate(images)],
        "categories": [{"id": 1, "name": "cod"}],
        "annotations": [{"image_id": at, "category_id": 1, "bbox": [1, 1, 2, 2]} for at in range(len(images))],
    }


def test_a_picture_by_its_name(tmp_path):
    content = "video_id,frame,x,y,w,h,label\nstill.a,0,1,2,3,4,cod\n8_still.a,0,1,2,3,4,cod\n"
    assert [box.picture for box in boxes(tmp_path, content)] == [(8, 0), (8, 0)]


@pytest.mark.parametrize("name", ["T\u00f6", "To\u0308"])
def test_species_are_spelled_as_in_the_network(tmp_path, monkeypatch, name):
    monkeypatch.setattr("tests.lib.evaluation.test_truth.NAMES", [name, "crab"])
    for each in ("T\u00f6", "To\u0308"):
        found = boxes(tmp_path, f"media_id,frame,x,y,w,h,species\n7,3,1,2,3,4,{each}\n")
        content = coco_images({"media_id": 7, "frame": 3}) | {"categories": [{"id": 1, "name": each}]}
        assert [box.species for box in [*found, *boxes(tmp_path, content, "t.json")]] == [name, name]


@pytest.mark.parametrize(
    ("value", "crowd"), [("1", True), ("1.0", True), ("True", True), ("", False), ("0.0", False), ("false", False)]
)
def test_spellings_of_iscrowd(tmp_path, value, crowd):
    [found] = boxes(tmp_path, f"media_id,frame,x,y,w,h,species,iscrowd\n7,3,1,2,3,4,crab,{value}\n")
    content = coco_images({"media_id": 7, "frame": 3})
    content["annotations"][0]["iscrowd"] = json.loads(value.lower() or "null")
    assert [found.is_crowd, boxes(tmp_path, content, "t.json")[0].is_crowd] == [crowd, crowd]


def test_boxes_of_other_media_are_left_out_and_named_in_the_log(tmp_path, caplog):
    caplog.set_level("INFO")
    rows = "".join(f"{name},3,1,2,3,4,crab\n" for name in ("reef", "reff.mp4", "reff.mp4", "b", "c", "d"))
    assert boxes(tmp_path, f"video_id,frame,x,y,w,h,species\n{rows}") == [BOX]
    assert "truth.csv: 5 rows are left out" in caplog.text
    assert caplog.text.endswith("has no frame: reff.mp4, b, c, ...\n")
    caplog.clear()
    pictures = {"media_id": 7, "frame": 3}, {"file_name": "b/reff_1.jpg"}, {"media_id": 99, "frame": 0}
    assert len(boxes(tmp_path, coco_images(*pictures), "t.json")) == 1
    assert "t.json: 2 rows are left out" in caplog.text
    assert caplog.text.endswith("b/reff_1.jpg, 99\n")
    caplog.clear()
    assert boxes(tmp_path, "media_id,frame,x,y,w,h,species\n7,3,1,2,3,4,crab\n") == [BOX]
    assert not caplog.text


@pytest.mark.parametrize("header", ["media_id", "video_id"])
def test_a_file_without_a_media_of_the_run_names_both(tmp_path, header):
    named = r"truth\.csv has no true box .* names 99; .* has 7 \(reef\.mp4\), 8 \(still\.a\.png\), 9; correct"
    with pytest.raises(PipelineError, match=named):
        boxes(tmp_path, f"{header},frame,x,y,w,h,species\n99,3,1,2,3,4,crab\n")
    with pytest.raises(PipelineError, match="it names none; expected"):
        boxes(tmp_path, f"{header},frame,x,y,w,h,species\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "its columns are a, b"),
        ("", "its columns are none"),
        ("media_id,frame,x,y,w,h,species\n7,x,1,2,3,4,crab\n", "truth.csv:2: .*'x'"),
        ("media_id,frame,x,y,w,h,species\n7,3,1,2\n", "truth.csv:2"),
        (
            "frame,x,y,w,h,species\n0,83,61,219,01,527,21,260,99,shark\n",
            "truth.csv:2: 10 fields, expected 6; write decimals with a point",
        ),
        ("media_id,frame,x,y,w,h,species\n7,3,1,2,0,4,crab\n", "truth.csv:2: a box of 0 x 4 pixels"),
        ("media_id,frame,x,y,w,h,species\n7,3,1,2,0.0004,4,crab\n", "0.0004 x 4 pixels"),
        ("media_id,frame,x,y,w,h,species_id\n7,3,1,2,3,4,3\n", "species 3; expected 1 to 2"),
        ("media_id,frame,x,y,w,h,species\n7,3,nan,2,3,4,crab\n", "3 x 4 pixels at nan, 2"),
        ("media_id,frame,x,y,w,h,species\n7,3,1,2,inf,4,crab\n", "inf x 4 pixels"),
        ("media_id,frame,x,y,w,h,species\n7,-3,1,2,3,4,crab\n", "truth.csv:2: frame -3; expected 0 to"),
        (
            "media_id,frame,x,y,w,h,species,iscrowd\n7,3,1,2,3,4,crab,yes\n",
            "csv:2: iscrowd is 'yes'; expected 0, 1, true",
        ),
        (f"media_id,frame,x,y,w,h,species\n7,{'9' * 99},1,2,3,4,crab\n", "frame 9+….*; expected 0 to"),
        (f"media_id,frame,x,y,w,h,species\n7,3,1,2,3,4,{'a' * 200_000}\n", "not CSV: field larger"),
    ],
)
def test_invalid_files_have_a_message(tmp_path, content, message):
    with pytest.raises(PipelineError, match=message):
        boxes(tmp_path, content)


def test_empty_fields_at_the_end_of_a_row_are_allowed(tmp_path):
    assert boxes(tmp_path, "media_id,frame,x,y,w,h,species\n7,3,1,2,3,4,crab,, \n") == [BOX]


def test_json_that_is_not_coco(tmp_path):
    with pytest.raises(PipelineError, match="not COCO JSON"):
        boxes(tmp_path, {"images": []}, "truth.json")


def coco(image='{"id": 1, "media_id": 7, "frame": 3}', box="[1, 2, 3, 4]"):
    return (
        '{"categories": [{"id": 1, "name": "crab"}], "annotations": [{"image_id": 1, "category_id": 1, "bbox": '
        f'{box}}}], "images": [{image}]}}'
    )


@pytest.mark.parametrize(
    "content",
    [
        coco('{"id": 1, "media_id": 7, "frame": 1e999}'), coco('{"id": 1, "media_id": 7, "frame": -1}'), coco("5"),
        coco('"media_id"'), coco('{"id": 1, "media_id": [7], "frame": 3}'), coco('{"id": 1, "media_id": 7e999}'),
        coco(box="[NaN, 1, 1, 1]"), coco(box="[0, 1, Infinity, 1]"), coco(box=f"[{'9' * 400}, 1, 1, 1]"), "null",
    ],
)  # fmt: skip
def test_invalid_values_in_coco_have_a_message(tmp_path, content):
    with pytest.raises(PipelineError, match="expected"):
        boxes(tmp_path, content, "truth.json")
    problem = truth_check.problem_of_boxes(tmp_path / "truth.json", [7], NAMES)
    assert problem is None or "expected" in problem


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.lib.evaluation.truth.LARGEST_COCO", 10)
    with pytest.raises(PipelineError, match="at most 10 are read"):
        boxes(tmp_path, coco(), "truth.json")


def test_boxes_without_a_media_need_a_run_of_one_media(tmp_path):
    with pytest.raises(PipelineError, match="which media is this box in"):
        boxes(tmp_path, "frame,x,y,w,h,label\n3,1,2,3,4,crab\n", media=[*MEDIA, replace(MEDIA[0], media_id=10)])


def test_writing_and_reading(tmp_path):
    nasty = LabeledBox((7, 2), (0.5, 0.25, 1.125, 2.0), 'a "b", c')
    write_truth(tmp_path / "t.csv", [BOX, nasty])
    assert read_truth(tmp_path / "t.csv") == [nasty, BOX]
