"""Whole runs on real videos, from selected media in Tator to boxes in Tator that are checked."""

import json
import re
import shutil

import cv2
import jsonschema
import numpy as np
import pandas as pd
import pytest
import tator
import yaml
from pycocotools.coco import COCO

from tests.browser import open_page
from tests.conftest import SYNTHETIC
from tests.docker_engine import make_reference_image
from tests.scripts.tator_steps import Steps
from tests.workflow import ROOT, snakemake

MARK = "Object Detector Processed"
NASTY = "we ird \"näme' ..\\日本 #1?x=%20&;$(id).mp4"


class Site:
    """A Tator site with media of all kinds, and one run's folder."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.api = tator.get_api(server.host, server.token)
        self.settings = {
            "tator": {"host": server.host, "project_id": server.project_id, "media_ids": list(server.media)},
            "network": {"directory": str(SYNTHETIC)},
            "detect": {"img_max_side": 320, "img_min_side": 180, "keep_threshold": 0.3},
            "upload": {"localization_type_id": server.localization_type_id},
        }

    def run(self, *arguments, **environ):
        environ = {"TATOR_AUTH_TOKEN": self.server.token, "TATOR_PATIENCE_SECONDS": "10", **environ}
        return snakemake(self.folder, *arguments, settings=self.settings, environ=environ)

    def boxes(self, **filters):
        found = self.api.get_localization_list(self.server.project_id, type=self.server.localization_type_id, **filters)
        drop = {"id", "created_datetime", "modified_datetime"}
        boxes = [{key: value for key, value in box.items() if key not in drop} for box in found]
        return sorted(boxes, key=lambda box: (box["media"], box["frame"], box["elemental_id"]))

    def marks(self):
        media = self.api.get_media_list(self.server.project_id)
        return {item["id"]: item["attributes"].get(MARK) for item in media}

    def states(self):
        summary = json.loads((self.folder / "results" / "summary.json").read_text())
        return {media["media_id"]: media["state"] for media in summary["media"]}


@pytest.fixture
def site(tator_server, tmp_path):
    return Site(tator_server, tmp_path / "run")


@pytest.fixture
def odd_media(media_folder):
    """Add media other than good videos to the folder, before the server starts."""
    shutil.copy(media_folder / "clip_910001.mp4", media_folder / NASTY)
    whole = (media_folder / "clip_910002.mp4").read_bytes()
    (media_folder / "junk.mp4").write_text("this is not a video\n" * 100)
    (media_folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (media_folder / "zero.mp4").write_bytes(b"")
    cv2.imwrite(str(media_folder / "black.png"), np.zeros((180, 320, 3), np.uint8))


def test_run_again_with_deleted_results_and_edited_boxes(site):
    first = site.run()
    assert first.returncode == 0, first.stdout
    boxes, marks = site.boxes(), site.marks()
    assert set(site.states().values()) == {"done"}
    assert {box["media"] for box in boxes} == set(site.server.media)
    assert all(mark != "No" for mark in marks.values())
    csv = (site.folder / "results" / "detections.csv").read_text().splitlines()
    assert csv[0] == "video_id,frame,x,y,w,h,det_conf,det_species"
    assert len(csv) == len(boxes) + 1

    second = site.run()
    assert second.returncode == 0
    assert "Nothing to be done" in second.stdout

    before = {path: path.read_bytes() for path in (site.folder / "results").rglob("*.csv")}
    site.server.clear_requests()
    shutil.rmtree(site.folder / "results")
    third = site.run()
    assert third.returncode == 0, third.stdout
    assert site.boxes(show_deleted=1) == boxes
    assert site.server.requests("CreateLocalizationList") == []
    assert {path: path.read_bytes() for path in before} == before
    people_s_boxes_survive_a_rerun(site)


def people_s_boxes_survive_a_rerun(site):
    """Edit one box and delete another as people do, and run again in a new folder."""
    api, server = site.api, site.server
    found = api.get_localization_list(server.project_id, type=server.localization_type_id, media_id=[1])
    api.update_localization(found[0]["id"], {"attributes": {"Species": "eel"}})
    api.delete_localization(found[1]["id"], {})
    left = site.boxes(show_deleted=1)
    shutil.rmtree(site.folder)
    done = site.run()
    assert done.returncode == 0, done.stdout
    assert site.boxes(show_deleted=1) == left
    upload = json.loads((site.folder / "results/uploads/1.json").read_text())
    assert upload["people"]["edited"] == [found[0]["elemental_id"]]
    assert upload["people"]["deleted"] == [found[1]["elemental_id"]]
    assert "1 edited, 1 deleted" in done.stdout


def ran(done):
    """Return the jobs of a successful run: rules, with the media id if there is one."""
    assert done.returncode == 0, done.stdout
    return jobs_in(done.stdout)


def jobs_in(text):
    """Return the jobs of a run from its output: rules, with the media id if there is one."""
    blocks = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .+\n)+)", text, re.MULTILINE)
    media = [(rule, re.search(r"media_id=(\d+)", block)) for rule, block in blocks]
    return sorted(f"{rule} {found[1]}" if found else rule for rule, found in media)


COUNTS = ["count_species", "get_attributes"]
ENDING = ["all", "conclude", "make_report", "mark_processed", "summarize"]


def test_only_what_changed_runs_again(site, tmp_path):
    network = tmp_path / "network"
    shutil.copytree(SYNTHETIC, network)
    site.settings["network"]["directory"] = str(network)
    site.settings["media"] = {"skip_processed": True}  # which leaves the run's own media as they are
    site.settings["tator"]["media_ids"] = [1]
    assert "detect 1" in ran(site.run())
    first = site.boxes()

    site.settings["tator"]["media_ids"] = [2, 1]
    new = ["detect 2", "download_media 2", "merge_detections", "resolve_media", "upload_detections 2", *COUNTS]
    assert ran(site.run()) == sorted([*ENDING, *new])
    assert [box for box in site.boxes() if box["media"] == 1] == first

    site.settings["tator"]["media_ids"] = [1, 2]
    assert {*ENDING, "merge_detections", "count_species"} <= set(ran(site.run("-n")))  # their files have the order
    site.settings["tator"]["media_ids"] = [2, 1]

    (network / "graph.pb").touch()
    assert ran(site.run()) == sorted([*ENDING, "get_network"])

    # In Tator, media 1 has a new file now, media 2 has not.
    site.server.change(
        "media", 1, media_files=site.api.get_media(2).to_dict()["media_files"], md5=site.api.get_media(2).md5
    )
    again = ran(site.run("--forcerun", "resolve_media"))
    assert again == sorted(
        [*ENDING, *COUNTS, "detect 1", "download_media 1", "merge_detections", "resolve_media", "upload_detections 1"]
    )
    all_boxes = site.boxes()
    assert len([box for box in all_boxes if box["media"] == 1]) == len(all_boxes) / 2 != len(first)

    site.settings["upload"]["threshold"] = 0.8
    assert ran(site.run()) == sorted([*ENDING, "count_species", "upload_detections 1", "upload_detections 2"])
    assert 0 < len(site.boxes(show_deleted=1)) < len(all_boxes)
    assert all(box["attributes"]["Confidence"] >= 0.8 for box in site.boxes())

    (network / "train.ini").write_text("[Data]\nSpecies=cod,flatfish,king crab\n")
    assert {"detect 1", "detect 2", "upload_detections 1", "upload_detections 2"} < set(ran(site.run()))
    assert "crab" not in {box["attributes"]["Species"] for box in site.boxes(show_deleted=1)}
    assert "Nothing to be done" in site.run().stdout


@pytest.mark.browser
@pytest.mark.usefixtures("odd_media")
def test_faulty_media_are_reported_and_the_others_finished(site, media_folder):
    server = site.server
    names = {name: media_id for media_id, name in server.media.items()}
    multi = server.add_media("multi", dtype="multi")
    picture = server.add_media("picture.mp4", files={"streaming": [media_folder / "black.png"]})
    site.settings["tator"]["media_ids"] = [99999, multi, *server.media, picture]
    done = site.run()
    assert done.returncode != 0
    assert (site.folder / "results" / "summary.json").exists(), done.stdout
    states = site.states()
    assert list(states) == [99999, multi, *server.media, picture]
    assert states[99999] == "missing"
    assert states[multi] == "unsupported"
    assert states[picture] == "unsupported"
    for name in ("junk.mp4", "zero.mp4", "truncated.mp4"):
        assert states[names[name]] == "unreadable", name
    assert states[names["black.png"]] == "no detections"
    for name in ("clip_910001.mp4", "clip_910002.mp4", NASTY):
        assert states[names[name]] == "done"
    well = {media_id for media_id, state in states.items() if state in ("done", "no detections")}
    assert {media_id for media_id, mark in site.marks().items() if mark not in ("No", None, "")} == well
    assert {box["media"] for box in site.boxes()} == well - {names["black.png"]}
    sentence = next(line for line in done.stdout.splitlines() if "media have no boxes in Tator from this run" in line)
    for media_id in set(states) - well:
        # A reason is given for one media or for several; a media that does not exist has no name.
        alone = rf"media {media_id}( \(.*?\))? is {states[media_id]}: "
        together = rf"\d media are {states[media_id]}: .*[ (]{media_id} \("
        assert re.search(f"{alone}|{together}", sentence), (media_id, sentence)
    view = open_page(site.folder / "results" / "overview.html")
    assert view.without_errors, view
    assert f"{len(states) - len(well)} of {len(states)} media have no boxes in Tator from this run" in view.text
    assert check_records(site.folder) == {"record", "download", "provenance", "destination", "detection", "upload",
                                          "attributes", "marks", "summary"}  # fmt: skip
    again = site.run()
    assert again.returncode != 0
    assert "rule detect:" not in again.stdout
    assert "rule make_report:" not in again.stdout


def check_records(folder):
    """Check a run's records by their schema; return the kinds of records."""
    schema = yaml.safe_load((ROOT / "docs" / "records.schema.yaml").read_text())
    kinds = set()
    for kind, where in schema["x-files"].items():
        for path in folder.glob(where.replace("{media_id}", "*")):
            jsonschema.validate(json.loads(path.read_text()), {**schema, "$ref": f"#/$defs/{kind}"})
            kinds.add(kind)
    return kinds


def test_a_wrong_token_is_one_clear_message(site):
    environ = {"TATOR_AUTH_TOKEN": "0" * 40}
    done = snakemake(site.folder, settings=site.settings, environ=environ)
    assert done.returncode != 0
    assert "Invalid token" in done.stdout
    assert "set TATOR_AUTH_TOKEN" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (site.folder / "results").exists()


def test_the_report_shows_the_results_and_exports_can_be_read(site):
    """With tracks, true boxes, exports, and a metrics file; a second run makes nothing again."""
    truth = site.folder / "truth.csv"
    site.folder.mkdir()
    truth.write_text("video_id,frame,x,y,width,height,label\n1_clip_910001,0,446,293,50,22,cod\n")
    site.settings["evaluate"] = {"truth_file": str(truth), "pictures": 1}
    site.settings["export"] = {"parquet": True, "crops": True}
    site.settings["track"] = {"enabled": True}
    site.settings["upload"]["track_type_id"] = Steps(site.folder, site.server).add_track_type()
    site.settings["upload"]["track_length_attribute"] = "Length"
    metrics = site.folder / "tator.prom"
    done = site.run(TATOR_METRICS_FILE=str(metrics))
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in site.run().stdout
    rows = pd.read_csv(site.folder / "results/detections.csv")
    table = pd.read_parquet(site.folder / "results/detections.parquet")
    for column in ("video_id", "frame", "x", "y", "w", "h"):
        assert list(table[column]) == list(rows[column])
    assert set(table["species"]) <= {"cod", "flatfish", "crab"}
    assert len(COCO(site.folder / "results/detections.coco.json").anns) == len(rows)
    assert len(list(site.folder.glob("results/crops/*/*/*.jpg"))) == len(rows)
    assert 'tator_detection_media_total{state="done"} 2.0' in metrics.read_text()
    assert f"tator_detection_boxes_total {len(rows)}.0" in metrics.read_text()
    assert "evaluation" in check_records(site.folder)
    check_tracks(site)
    done = site.run("--report", str(site.folder / "report.html"))
    assert done.returncode == 0, done.stdout
    page = (site.folder / "report.html").read_text()
    for text in (
        "The run on one page",
        "State of each media",
        "Boxes of all media",
        "What became of each media",
    ):
        assert text in page


def check_tracks(site):
    """Check that Tator has the tracks that were found, with the boxes that remain, and that the media are marked."""
    boxes = {box["id"]: box["media"] for box in site.api.get_localization_list(site.server.project_id)}
    states = site.api.get_state_list(site.server.project_id)
    for media_id in site.server.media:
        of_it = [state for state in states if state["media"] == [media_id]]
        tracks = json.loads((site.folder / f"results/tracks/{media_id}.json").read_text())["tracks"]
        found = sorted(track["boxes"] for track in tracks)
        assert sorted(len(state["localizations"]) for state in of_it) == found != []
        assert sorted(state["attributes"]["Length"] for state in of_it) == found
        assert {boxes[row] for state in of_it for row in state["localizations"]} == {media_id}
    assert len(states) == sum(
        json.loads(path.read_text())["tracks"] for path in site.folder.glob("results/track_uploads/*")
    )
    assert "No" not in site.marks().values()


def test_the_environment_of_the_reference_workflow_runs_unchanged(site, docker_engine, tmp_path):
    """With only the environment that Argo gives the reference workflow, and a data image made for it."""
    network = {f"network/{name}": (SYNTHETIC / name).read_bytes() for name in ("graph.pb", "train.ini")}
    make_reference_image(docker_engine.client, "site/weights:1", network)
    work = tmp_path / "work"
    work.mkdir()
    arguments = {
        "data_image": "site/weights:1",
        "img_max_side": 320,
        "img_min_side": 180,
        "keep_threshold": 0.3,
        "batch_size": 4,
        "media_type": "video",
        "img_ext": "mp4",
        "type_id": site.server.localization_type_id,
    }
    environ = {
        "TATOR_MEDIA_IDS": ",".join(map(str, site.server.media)),
        "TATOR_API_SERVICE": f"{site.server.host}/rest",
        "TATOR_AUTH_TOKEN": site.server.token,
        "TATOR_PROJECT_ID": str(site.server.project_id),
        "TATOR_WORK_DIR": str(work),
        "TATOR_PIPELINE_ARGS": json.dumps(arguments),
        "DOCKER_HOST": docker_engine.host,
    }
    done = snakemake(tmp_path / "here", environ=environ, directory=False)
    assert done.returncode == 0, done.stdout
    assert {box["media"] for box in site.boxes()} == set(site.server.media)
    assert all(mark != "No" for mark in site.marks().values())
    provenance = json.loads((work / "results" / "summary.json").read_text())["network"]
    assert (provenance["source"], provenance["fetched_by"]) == ("data_image", "docker")
    assert docker_engine.client.containers.list(all=True) == []
    assert len((work / "results" / "detections.csv").read_text().splitlines()) == len(site.boxes()) + 1

    def again() -> str:
        done = snakemake(tmp_path / "here", environ=environ, directory=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert "Nothing to be done" in again()
    # The tag now names another image, whose network has other names of species.
    first = provenance["image_id"]
    network["network/train.ini"] = network["network/train.ini"].replace(b"cod", b"gadus")
    make_reference_image(docker_engine.client, "site/weights:1", network)
    dry = snakemake(tmp_path / "here", "-n", environ=environ, directory=False)
    assert "Nothing to be done" in dry.stdout  # a dry run does not contact the registry
    output = again()
    assert f"site/weights:1 was {first} and is now sha256:" in output
    assert {box["attributes"]["Species"] for box in site.boxes()} >= {"gadus"}
    assert "cod" not in {box["attributes"]["Species"] for box in site.boxes()}
    assert "Nothing to be done" in again()
