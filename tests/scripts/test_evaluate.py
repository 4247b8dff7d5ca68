"""True boxes from a version in Tator, the evaluation, its pictures, and its part of the page."""

import zipfile
from dataclasses import replace
from types import MappingProxyType

import cv2
import numpy as np
import pytest

from scripts.evaluate import evaluate
from scripts.get_truth import get_truth
from scripts.lib.downloads.frames_again import MediaPlace
from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.truth import LabeledBox, read_truth, write_truth
from scripts.lib.files import read_json, write_json
from scripts.lib.records.record_files import write_record
from scripts.picture_errors import picture_errors
from tests.browser import open_page
from tests.made_records import evaluation_record, mistake
from tests.report_run import SIZE, FakeRun

pytestmark = pytest.mark.pages

BOX = (8.0, 20.0, 30.0, 25.0)  # where FakeRun's first box is


@pytest.fixture
def run(tmp_path):
    made = FakeRun(tmp_path / "run")
    made.add("a.mp4", frames=50, boxes=lambda frame: [(0, 0.9 if frame == 3 else 0.6)] if frame < 40 else [])
    made.add("b.mp4", frames=5)
    made.finish()
    return made


def evaluated(run, truth, sizes=MappingProxyType({}), **changes):
    write_truth(run.folder / "truth.csv", truth, sizes)
    settings = {"iou": 0.5, "only_frames_with_truth": False, "pictures": 2, "keep_threshold": 0.3,
                "upload_threshold": 0.0}  # fmt: skip
    evaluate(
        detections=[run.folder / f"results/detections/{number}.csv" for number in run.media_ids],
        outcomes=run.every["outcomes"],
        truth=run.folder / "truth.csv",
        train_ini=run.folder / "resources/network/train.ini",
        evaluation=run.folder / "results/evaluation.json",
        **settings | changes,
    )
    return read_json(run.folder / "results/evaluation.json")


def test_figures_of_an_evaluation(run):
    truth = [LabeledBox((1, frame), BOX, "cod") for frame in range(20, 50)]
    found = evaluated(
        run, [*truth, LabeledBox((1, 99), BOX, "cod"), LabeledBox((1, 45), (90.0, 50.0, 20.0, 20.0), "eel")]
    )
    assert (found["media"], found["frames"], found["truth"], found["found"]) == ([1], 50, 31, 40)
    cod = found["species"]["cod"]
    assert (cod["truth"], cod["found"]) == (30, 40)
    assert cod["best_f1"] == {"threshold": 0.6, "f1": 0.5714, "precision": 0.5, "recall": 0.6667}
    assert found["species"]["eel"]["ap50"] == 0.0
    assert found["confusion"] == {
        "species": ["cod", "crab", "eel"],
        "counts": [[20, 0, 0, 10], [0, 0, 0, 0], [0, 0, 0, 1], [20, 0, 0, 0]],
    }
    assert [(each["frame"], each["species"]) for each in found["missed"]] == [(40, "cod")]
    assert [each["frame"] for each in found["false_alarms"]] == [3]
    assert found["missed"][0]["share"] == [0.05, 0.22222, 0.1875, 0.27778]


@pytest.mark.parametrize(("upload", "threshold"), [(0.0, 0.3), (0.5, 0.5)])
def test_the_threshold_of_confusion_is_the_one_that_applies(run, upload, threshold):
    found = evaluated(run, [LabeledBox((1, 30), BOX, "cod")], keep_threshold=0.3, upload_threshold=upload)
    assert found["threshold"] == threshold


def test_true_boxes_from_tator_are_scaled_to_the_file_that_was_read(run):
    """Tator's record may be of the original, while a smaller copy was read."""
    truth = [LabeledBox((1, frame), BOX, "cod") for frame in range(20, 50)]
    twice = [replace(box, xywh=tuple(2 * value for value in box.xywh)) for box in truth]
    expected = evaluated(run, truth)
    assert expected["ap50"] > 0.3
    assert evaluated(run, twice, sizes={1: (2 * SIZE.width, 2 * SIZE.height)}) == expected


def test_true_boxes_of_frames_that_were_lost_do_not_count(run):
    record = run.every["outcomes"][0]
    content = read_json(record)
    content["frames"] |= {"decoded": 30, "missing": 20, "used": 30, "lost": [[10, 19], [40, 49]]}
    write_json(record, content)
    found = evaluated(run, [LabeledBox((1, frame), BOX, "cod") for frame in range(50)])
    assert found["truth"] == 30


def test_crowds_cannot_be_missed(run):
    truth = [LabeledBox((1, frame), BOX, "cod") for frame in range(40)]
    found = evaluated(run, [*truth, LabeledBox((1, 45), BOX, "cod", is_crowd=True)])
    assert (found["truth"], found["species"]["cod"]["truth"], found["missed"]) == (40, 40, [])
    assert found["ap50"] == pytest.approx(1.0)


def test_only_frames_with_truth(run):
    found = evaluated(run, [LabeledBox((1, 10), BOX, "cod")], only_frames_with_truth=True)
    assert (found["frames"], found["found"], found["ap50"]) == (1, 1, pytest.approx(1.0))
    assert found["false_alarms"] == []


def test_the_page_names_a_threshold_with_all_its_digits(run):
    """Rounded up, it would be above the score of the box that it is taken from."""
    found = evaluated(run, [LabeledBox((1, 45), BOX, "cod")])
    for best in (found["best_f1"], found["species"]["cod"]["best_f1"]):
        best["threshold"] = 0.9977
    write_json(run.folder / "results/evaluation.json", found)
    with zipfile.ZipFile(run.folder / "results/evaluation.zip", "w"):
        pass
    files = [run.folder / f"results/evaluation.{suffix}" for suffix in ("json", "zip")]
    assert run.page(evaluation=files).read_text().count("0.9977") == 2


@pytest.mark.browser
def test_the_page_shows_the_worst_mistakes(run):
    evaluated(run, [LabeledBox((1, frame), (90.0, 40.0, 30.0, 30.0), "crab") for frame in range(50)])
    pictures = run.folder / "results/evaluation.zip"
    picture = cv2.imencode(".jpg", np.full((90, 160, 3), 90, np.uint8))[1].tobytes()
    with zipfile.ZipFile(pictures, "w") as archive:
        for frame in (0, 3, 25):
            archive.writestr(f"1/{frame:08d}.jpg", picture)
    view = open_page(run.page(evaluation=[run.folder / "results/evaluation.json", pictures]))
    assert view.without_errors, view
    for text in ("Against 50 true boxes in 50 frames of 1 media", "Missed: crab", "a.mp4, frame 25",
                  "Boxes that score 0.3 or more.", "False positive: cod, 0.90",
                  "Pictures that are no longer available: 1."):  # fmt: skip
        assert text in view.text, text


def test_the_truth_of_a_version_includes_its_bases(steps, tmp_path):
    """As on Tator's page: a box of the version replaces the one of the base that it was made from."""
    api, project = steps.api, steps.server.project_id
    base = api.create_version(project, {"name": "Machine", "description": ""}).id
    own = api.create_version(project, {"name": "Corrected", "description": "", "bases": [base]}).id
    box = {
        "media_id": 1,
        "type": steps.server.localization_type_id,
        "x": 0.25,
        "y": 0.5,
        "width": 0.125,
        "height": 0.25,
    }
    cod, crab = ({"attributes": {"Species": species}} for species in ("cod", "crab"))
    api.create_localization_list(project, [box | cod | {"version": base, "frame": frame} for frame in (0, 1)])
    first = next(one for one in api.get_localization_list(project, version=[base]) if one["frame"] == 0)
    replaced = {"version": own, "frame": 0, "parent": first["id"], "elemental_id": first["elemental_id"]}
    api.create_localization_list(project, [box | crab | replaced, box | crab | {"version": own, "frame": 2}])
    # The base's box is edited later, which does not change the version's.
    api.update_localization(first["id"], {"x": 0.3})
    steps.resolve(1)
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    get_truth(
        truth_file=[], records=[steps.folder / "record_1.json"], train_ini=tmp_path / "train.ini", **steps.where,
        localization_type_id=steps.server.localization_type_id, species_attribute="Species",
        truth=tmp_path / "truth.csv", truth_version=own,
    )  # fmt: skip
    found = [(one.picture[1], one.species) for one in read_truth(tmp_path / "truth.csv")]
    assert sorted(found) == [(0, "crab"), (1, "cod"), (2, "crab")]


def test_truth_from_a_version_and_pictures_from_tator(steps, tmp_path, caplog):
    """The latest state of each box counts, deleted boxes do not; the media is downloaded for its frames."""
    api, server = steps.api, steps.server
    box = {"media_id": 1, "type": server.localization_type_id, "version": server.version_id, "x": 0.25, "y": 0.5,
           "width": 0.125, "height": 0.25, "attributes": {"Species": "cod"}}  # fmt: skip
    made = api.create_localization_list(server.project_id, [box | {"frame": frame} for frame in (5, 30, 31)]).id
    api.create_localization_list(server.project_id, [box | {"frame": 40, "width": 0.0}])  # a click
    api.update_localization(made[1], {"attributes": {"Species": "crab"}})
    api.delete_localization(made[2], {})
    records = [tmp_path / "run" / f"record_{number}.json" for number in (1, 2)]
    steps.resolve(1, 2)
    write_json(records[1], read_json(records[1]) | {"width": None})  # not needed, as it has no true box
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    arguments = {
        "truth_file": [], "records": records, "train_ini": tmp_path / "train.ini", **steps.where,
        "localization_type_id": server.localization_type_id, "species_attribute": "Species",
        "truth": tmp_path / "truth.csv",
    }  # fmt: skip
    get_truth(**arguments, truth_version=server.version_id)
    share = (160.0, 180.0, 80.0, 90.0)
    assert read_truth(tmp_path / "truth.csv") == [LabeledBox((1, 5), share, "cod"), LabeledBox((1, 30), share, "crab")]
    assert "media 1: true boxes left out, as they have no area: 1" in caplog.text
    with pytest.raises(PipelineError, match="version 99999 has no true box"):
        get_truth(**arguments, truth_version=99999)

    found = evaluation_record(missed=[mistake(1, 30)], false_alarms=[mistake(1, 5), mistake(2, 3)])
    write_record(tmp_path / "evaluation.json", found)
    write_json(records[1], {"media_id": 2, "state": "missing", "reason": "it was deleted", "name": None})
    records = [path.rename(path.with_name(path.name.removeprefix("record_"))) for path in records]
    pictures = tmp_path / "pictures.zip"
    place = MediaPlace(**steps.where)
    picture_errors(evaluation=tmp_path / "evaluation.json", records=records, place=place, pictures=pictures)
    with zipfile.ZipFile(pictures) as archive:
        assert archive.namelist() == ["1/00000005.jpg", "1/00000030.jpg"]
        assert cv2.imdecode(np.frombuffer(archive.read("1/00000005.jpg"), np.uint8), 1).shape == (360, 640, 3)
    assert {path.name for path in tmp_path.iterdir()} >= {"pictures.zip"}
    assert not list(tmp_path.glob("tmp*"))
