"""Upload of a folder run's boxes to the media in Tator that have the same name or md5."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import tator

from scripts import match_media as match_script
from scripts.lib.folder_source.listing import list_folder, media_id_of
from scripts.lib.folder_source.run_listing import write_listing
from scripts.lib.records.match import MatchesRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.server.tator_md5 import TatorMd5
from scripts.list_media import list_media
from tests.conftest import SYNTHETIC
from tests.test_end_to_end import MARK
from tests.test_folder_run import FolderRun
from tests.test_many import jobs

VIDEO, OTHER = "clip_910001.mp4", "clip_910002.mp4"
SAME = ("frame", "x", "y", "width", "height", "attributes")


class Matched(FolderRun):
    """A folder's run whose boxes go to a site."""

    def __init__(self, base: Path, server) -> None:
        super().__init__(base)
        self.server, self.api = server, tator.get_api(server.host, server.token)
        self.upload = {
            "tator": {"host": server.host, "project_id": server.project_id},
            "upload": {"localization_type_id": server.localization_type_id, "match": "name"},
        }

    def put(self, *arguments, match: str = "name", token: bool = True):
        self.settings |= self.upload | {"upload": self.upload["upload"] | {"match": match}}
        return self.run(*arguments, **({"TATOR_AUTH_TOKEN": self.server.token} if token else {}))

    def there(self, media_id: int, **filters) -> list[tuple]:
        found = self.api.get_localization_list(self.server.project_id, media_id=[media_id], **filters)
        return sorted((*(str(box[key]) for key in SAME), box["elemental_id"]) for box in map(dict, found))

    def mark(self, media_id: int) -> str:
        return self.api.get_media(media_id).attributes.get(MARK)

    def table(self) -> dict[str, dict[str, str]]:
        with (self.folder / "results" / "matches.csv").open(newline="") as stream:
            return {row["path"]: row for row in csv.DictReader(stream)}

    def reasons(self) -> dict[str, str | None]:
        summary = json.loads((self.folder / "results" / "summary.json").read_text())
        return {media["name"]: media["reason"] for media in summary["media"]}


@pytest.fixture
def survey(tator_server, tmp_path):
    return Matched(tmp_path, tator_server)


def number(survey, name):
    return next(media_id for media_id, known in survey.server.media.items() if known == name)


def count(survey, name):
    return len(survey.boxes(name))


def test_boxes_detected_without_tator_are_uploaded_by_name_without_the_files(survey):
    """Files that match no media or several are listed, make the run fail, and are looked up again by the next run."""
    (survey.media / "dive").mkdir()
    shutil.copy(SYNTHETIC / VIDEO, survey.media / "dive" / VIDEO)
    shutil.copy(SYNTHETIC / OTHER, survey.media / OTHER)
    survey.pictures("a/one.jpg", "b/one.jpg", "both.jpg", "new.jpg")
    one = survey.server.add_media("one.jpg", dtype="image", files={"image": [survey.media / "a" / "one.jpg"]})
    both = [
        survey.server.add_media("both.jpg", dtype="image", files={"image": [survey.media / "both.jpg"]})
        for _ in range(2)
    ]
    survey.server.clear_requests()
    first = survey.run()
    assert first.returncode == 0, first.stdout
    assert not jobs(first).keys() & {"match_media", "prepare_upload", "upload_detections", "mark_processed"}
    assert survey.server.requests() == []
    before = {path: path.read_bytes() for path in (survey.folder / "results" / "detections").iterdir()}

    # On another machine: the results in another folder, without the files and the network.
    home = survey.folder.with_name("home")
    shutil.move(survey.folder, home)
    shutil.move(survey.media, survey.media.with_name("away"))
    network = survey.settings["network"]["directory"]
    survey.folder, survey.settings["network"]["directory"] = home, "/not/here"
    refused = survey.put(token=False)
    assert refused.returncode != 0
    assert "the environment variable TATOR_AUTH_TOKEN is not set" in refused.stdout
    done = survey.put()
    assert done.returncode == 1, done.stdout
    assert f"{survey.media} does not exist; only boxes found earlier are uploaded" in done.stdout
    assert not jobs(done).keys() & {"detect", "list_media", "get_network"}
    assert jobs(done)["upload_detections"] == 6
    survey.settings["network"]["directory"] = network
    assert {path.name: path.read_bytes() for path in (home / "results" / "detections").iterdir()} == {
        path.name: content for path, content in before.items()
    }
    table = survey.table()
    assert (table[f"dive/{VIDEO}"]["tator_id"], table[f"dive/{VIDEO}"]["by"]) == (str(number(survey, VIDEO)), "name")
    assert table["a/one.jpg"]["why_not"] == f"2 files match media {one} in Tator by their name (a/one.jpg, b/one.jpg)"
    assert table["both.jpg"]["why_not"].startswith(f"2 media in Tator have its name ({both[0]}, {both[1]})")
    assert table["new.jpg"]["why_not"] == "no image in Tator has its name"
    states = survey.states()
    assert (states["new.jpg"], states["both.jpg"], states["a/one.jpg"]) == ("missing", "failed", "failed")
    assert "4 of 6 media have no boxes in Tator from this run: " in done.stdout, done.stdout
    for name in (f"dive/{VIDEO}", OTHER):
        there = number(survey, name.rpartition("/")[2])
        assert len(survey.there(there)) == count(survey, name) > 0
        assert re.match("20", survey.mark(there))
    assert survey.there(one) == survey.there(both[0]) == survey.there(both[1]) == []

    look_again(survey, one, both[1])


def look_again(survey, one, both):
    """Run again after the media in Tator got matching names; what is in Tator is not uploaded again."""
    new = survey.server.add_media(
        "new.jpg", dtype="image", files={"image": [survey.media.with_name("away") / "new.jpg"]}
    )
    survey.settings["tator"] = survey.upload["tator"] | {"media_ids": [*survey.server.media, both, one, new]}
    survey.upload["tator"] = survey.settings["tator"]
    survey.server.clear_requests()
    done = survey.put()
    assert done.returncode == 1
    assert jobs(done)["upload_detections"] == 4, done.stdout
    assert survey.states() | {"a/one.jpg": "", "b/one.jpg": ""} == {
        **dict.fromkeys((f"dive/{VIDEO}", OTHER), "done"),
        "a/one.jpg": "",
        "b/one.jpg": "",
        "both.jpg": survey.states()["both.jpg"],
        "new.jpg": survey.states()["new.jpg"],
    }
    assert not {survey.states()[name] for name in ("both.jpg", "new.jpg")} & {"missing", "failed"}
    assert len(survey.there(new)) == count(survey, "new.jpg")
    assert len(survey.there(both)) == count(survey, "both.jpg")


@pytest.mark.parametrize("per_job", [1, 8])
def test_boxes_matched_by_md5_are_found_by_a_run_with_tator(survey, tmp_path, per_job):
    shutil.copy(SYNTHETIC / VIDEO, survey.media / "GOPR0001.mp4")
    shutil.copy(SYNTHETIC / OTHER, survey.media / "GOPR0002.mp4")
    survey.settings["media"] |= {"per_job": per_job, "md5": True}
    assert survey.run().returncode == 0
    shutil.move(survey.media, survey.media.with_name("away"))
    done = survey.put(match="md5")
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in survey.put(match="md5").stdout
    video, other = number(survey, VIDEO), number(survey, OTHER)
    boxes = survey.there(video), survey.there(other)
    assert [len(each) for each in boxes] == [count(survey, "GOPR0001.mp4"), count(survey, "GOPR0002.mp4")]
    summary = json.loads((survey.folder / "results" / "summary.json").read_text())
    assert {media["name"]: (media["tator_id"], media["marked"]) for media in summary["media"]} == {
        "GOPR0001.mp4": (video, True),
        "GOPR0002.mp4": (other, True),
    }

    # A run with Tator, of the same network, finds its boxes there.
    later = FolderRun.__new__(FolderRun)
    later.folder = tmp_path / "later"
    later.settings = {
        "tator": {**survey.upload["tator"], "media_ids": [video, other]},
        "network": survey.settings["network"],
        "detect": survey.settings["detect"],
        "upload": {"localization_type_id": survey.server.localization_type_id},
    }
    survey.server.clear_requests()
    done = later.run(TATOR_AUTH_TOKEN=survey.server.token)
    assert done.returncode == 0, done.stdout
    assert survey.server.requests("CreateLocalizationList") == []
    assert (survey.there(video), survey.there(other)) == boxes

    # A person edits one box and adds another; the folder run changes neither.
    [edited, *_] = survey.api.get_localization_list(survey.server.project_id, media_id=[video])
    person = tator.get_api(survey.server.host, survey.server.tokens["person"])
    person.update_localization(edited.id, {"x": 0.01})
    person.create_localization_list(
        survey.server.project_id,
        [
            {"media_id": video, "type": survey.server.localization_type_id, "version": edited.version, "frame": 0,
             "x": 0.9, "y": 0.9, "width": 0.05, "height": 0.05, "attributes": {"Species": "cod"}},
        ],
    )  # fmt: skip
    changed = survey.there(video)
    shutil.rmtree(survey.folder / "results" / "uploads")
    done = survey.put(match="md5")
    assert done.returncode == 0, done.stdout
    assert survey.there(video) == changed
    assert len(changed) == len(boxes[0]) + 1


def test_a_media_with_other_frames_in_tator_gets_no_boxes(survey):
    for name in (VIDEO, OTHER):
        shutil.copy(SYNTHETIC / name, survey.media / name)
    survey.pictures("wide.jpg")
    wide = survey.server.add_media("wide.jpg", dtype="image", files={"image": [survey.media / "wide.jpg"]})
    survey.server.change("media", number(survey, VIDEO), fps=12.5)
    survey.server.change("media", number(survey, OTHER), num_frames=1000)
    survey.server.change("media", wide, width=1000, height=100)
    done = survey.put()
    assert done.returncode == 1, done.stdout
    assert set(survey.states().values()) == {"failed"}
    reasons = survey.reasons()
    assert "has other frames than the file: Tator shows 12.5000 pictures a second, the file" in reasons[VIDEO]
    assert "Tator says 1000 frames, the file has" in reasons[OTHER]
    assert "Tator says 1000 x 100 pixels, the file has" in reasons["wide.jpg"]
    assert not [box for media_id in (*survey.server.media, wide) for box in survey.there(media_id)]
    survey.server.change("media", wide, width=320, height=180)
    survey.put()
    assert len(survey.there(wide)) == count(survey, "wide.jpg")


def test_an_unexpected_error_with_a_file_fails_its_media(survey, tmp_path, monkeypatch):
    survey.pictures("a.jpg", "b.jpg")
    monkeypatch.setenv("TATOR_AUTH_TOKEN", survey.server.token)
    found = list_folder(survey.media)
    write_listing(tmp_path / "listing", found)
    records = [tmp_path / f"{file.media_id}.json" for file in found.files]
    list_media(listing=tmp_path / "listing", kind="any", changed_by="time", records=records)
    sums = iter([RuntimeError("the wrong moment"), TatorMd5("0" * 32, "0" * 32)])

    def summed(_):
        if isinstance(one := next(sums), Exception):
            raise one
        return one

    monkeypatch.setattr(match_script, "tator_md5", summed)
    (tmp_path / "matches").mkdir()
    matches = [tmp_path / "matches" / path.name for path in records]
    match_script.match_media(
        records=records,
        listing=tmp_path / "listing",
        match_by="md5",
        host=survey.server.host,
        project_id=survey.server.project_id,
        media_ids=[],
        mark_attribute=MARK,
        matches=matches,
        match_table=tmp_path / "matches.csv",
    )
    found = [one for path in matches for one in read_record(MatchesRecord, path).matches]
    assert [one.state for one in found] == ["failed", "missing"]
    assert "its md5 is not known: an unexpected error, RuntimeError: the wrong moment" in (found[0].reason or "")


def test_media_without_results_need_the_folder(survey):
    survey.pictures("a.jpg", "b.jpg")
    assert survey.run().returncode == 0
    (survey.folder / "results" / "detections" / f"{media_id_of('a.jpg')}.json").unlink()
    shutil.move(survey.media, survey.media.with_name("away"))
    done = survey.put("-n", token=False)
    assert done.returncode != 0
    assert "does not exist, and 1 of its 2 media were not detected in yet (a.jpg); expected the folder" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tator": {}}, "tator.host: missing"),
        ({"upload": {"match": "name"}}, "upload.localization_type_id: missing"),
        (
            {"upload": {"match": "name", "localization_type_id": 1, "track_type_id": 2}, "track": {"enabled": True}},
            "upload.match, upload.track_type_id: both are set",
        ),
        ({"media": {}}, "upload.match: name, without media.folder; expected both or neither"),
    ],
)
def test_wrong_settings_for_matching_are_refused(survey, changes, message):
    survey.pictures("a.jpg")
    survey.settings |= survey.upload | changes
    if changes.get("media") == {}:
        survey.settings["tator"] = {**survey.upload["tator"], "media_ids": [1]}
    done = survey.run("-n")
    assert done.returncode != 0
    assert message in done.stdout, done.stdout
