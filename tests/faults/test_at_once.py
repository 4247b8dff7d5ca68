"""Two runs at once: in one folder, on the same media from two folders, and with jobs that a killed run left."""

import errno
import fcntl
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, replacing
from tests.faults.site import MARK
from tests.faults.steps import until
from tests.scripts.tator_steps import Steps

ROW = "0,10.000,20.000,64.000,36.000,0.900000:0.100000,1"


def test_a_second_run_in_a_folder_is_refused_and_does_not_disturb_the_first(site, undisturbed):
    first = site.start()
    until(lambda: any((site.folder / ".snakemake" / "locks").glob("*.lock")) or first.process.poll() is not None)
    status, text = site.run()
    assert status != 0
    assert "Directory cannot be locked" in text
    assert str(site.folder) in text
    assert "Traceback" not in text
    assert first.wait() == 0, first.text
    assert site.state() == undisturbed


@pytest.mark.parametrize(
    "fault",
    [
        # The first write waits until the second run has listed the boxes and found none: a second revision.
        {"kind": "slow", "media": 1, "seconds": 4},
        # Neither run sees uncommitted boxes of the other: two rows of one revision.
        {"kind": "late_commit", "seconds": 3, "times": None},
    ],
    ids=lambda fault: fault["kind"],
)
def test_two_runs_on_the_same_media_from_two_folders(site, undisturbed, fault):
    """No box is doubled, and the boxes count as the workflow's: a higher threshold removes them."""
    other = site.at(site.folder.with_name("other"))
    site.server.fault(operation="CreateLocalizationList", **fault)
    run_both_ok(site, other)
    site.server.clear_faults()
    check_each_box_once(site, undisturbed, revisions=1 + (fault["kind"] == "slow"))
    assert site.marked() == undisturbed.marked
    assert site.results() == other.results() == undisturbed.results

    site.settings["upload"]["threshold"] = 0.8
    run_both_ok(site, other)
    left = site.boxes()
    assert {box["elemental_id"] for box in left} == {
        box["elemental_id"] for box in undisturbed.boxes if box["attributes"]["Confidence"] >= 0.8
    }
    for upload in (site.folder / "results" / "uploads").glob("*.json"):
        assert not any(json.loads(upload.read_text())["people"].values())


def check_each_box_once(site, undisturbed, revisions=1):
    """Check that Tator lists the boxes of an undisturbed run, and that their earlier revisions are equal to them."""

    def content(box):
        return {key: value for key, value in box.items() if key != "mark"}

    every = site.boxes()
    last = {box["elemental_id"]: box for box in every}
    assert [content(box) for box in last.values()] == [content(box) for box in undisturbed.boxes]
    assert all(content(box) == content(last[box["elemental_id"]]) for box in every)
    numbers = [(box["elemental_id"], box["mark"]) for box in every]
    assert len(numbers) == len(set(numbers))
    assert max(box["mark"] for box in every) < revisions
    listed = site.api.get_localization_list(site.server.project_id, type=site.server.localization_type_id)
    assert len(listed) == len(undisturbed.boxes)


def test_two_runs_of_which_one_makes_the_version_late(site, undisturbed):
    """That version has the lower id, so it gets all boxes; the other run says so the next time."""
    other = site.at(site.folder.with_name("other"))
    site.environ["TATOR_ANSWER_SECONDS"] = other.environ["TATOR_ANSWER_SECONDS"] = "12"
    site.server.fault("late_commit", operation="CreateVersion", seconds=10)
    run_both_ok(site, other)
    check_each_box_once(site, undisturbed)
    texts = [run.run_ok() for run in (site, other)]
    assert sum("was made at the same moment as version" in text for text in texts) == 1
    check_each_box_once(site, undisturbed)
    assert site.marked() == undisturbed.marked
    assert site.results() == other.results() == undisturbed.results
    assert all("Nothing to be done" in run.run_ok() for run in (site, other))


def run_both_ok(one, other):
    runs = [one.start(), other.start()]
    for run in runs:
        assert run.wait() == 0, run.text


@pytest.fixture
def ready(steps):
    steps.resolve(1)
    steps.prepare()
    steps.detected(1, [ROW])
    return steps


@pytest.fixture
def made_twice(ready):
    """Return the steps of a run, with one box that two runs made at the same moment."""
    ready.server.fault("slow", operation="CreateLocalizationList", seconds=3)
    first = threading.Thread(target=ready.upload, args=(1,))
    first.start()
    until(lambda: ready.server.requests("CreateLocalizationList"))
    done = ready.upload(1)
    first.join(30)
    assert [box["mark"] for box in ready.boxes(show_all_marks=1)] == [0, 1]
    assert not any(done["people"].values())
    return ready


def test_a_box_made_twice_counts_as_the_workflow_s(made_twice):
    done = made_twice.upload(1)
    assert (done["boxes"], any(done["people"].values())) == (1, False)
    made_twice.detected(1, [])
    assert made_twice.upload(1)["state"] == "verified"
    assert made_twice.boxes(show_all_marks=1, show_deleted=1) == []


def test_a_box_made_twice_and_then_edited_counts_as_edited(made_twice):
    (box,) = made_twice.boxes()
    made_twice.api.update_localization(box["id"], {"x": 0.3})
    made_twice.detected(1, [])
    assert made_twice.upload(1)["people"]["edited"] == [box["elemental_id"]]
    assert [box["x"] for box in made_twice.boxes()] == [0.3]


def test_a_box_edited_and_changed_back_counts_as_edited(ready):
    """A person moved the box and moved it back, or a late run made it again after the edit."""
    ready.upload(1)
    (box,) = ready.boxes()
    ready.api.update_localization(box["id"], {"x": 0.3})
    ready.api.update_localization(ready.boxes()[0]["id"], {"x": box["x"]})
    ready.detected(1, [])
    assert ready.upload(1)["people"]["edited"] == [box["elemental_id"]]
    assert len(ready.boxes()) == 1


def test_boxes_are_listed_once_if_none_was_made_twice(ready):
    ready.upload(1)
    ready.server.clear_requests()
    ready.upload(1)
    assert len(ready.server.requests("GetLocalizationList")) == 1


@pytest.mark.parametrize("prune", [0, 1])
def test_a_stale_box_that_a_person_removes_or_edits_during_the_upload(ready, prune):
    """Between the listing and the removal, also if the number of rows stays the same."""
    rows = [ROW, ROW.replace("0,10", "1,10"), ROW.replace("0,10", "2,10")]
    ready.detected(1, rows)
    ready.upload(1)
    ready.detected(1, [])
    edited, deleted, _ = ready.boxes()
    ready.server.fault("slow", operation="DeleteLocalizationList", seconds=2)
    run = threading.Thread(target=ready.upload, args=(1,))
    run.start()
    until(lambda: ready.server.requests("DeleteLocalizationList"))
    ready.api.update_localization(edited["id"], {"x": 0.3})
    ready.api.delete_localization(deleted["id"], {"prune": prune})
    run.join(60)
    assert [(box["frame"], box["x"]) for box in ready.boxes()] == [(0, 0.3)]
    people = json.loads((ready.folder / "upload_1.json").read_text())["people"]
    assert people["edited"] == [edited["elemental_id"]]


def test_of_two_writers_of_a_file_the_older_gives_up(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(PipelineError, match=r"another process writes it too"), replacing(path) as older:  # noqa: PT012
        older.write("older")
        with replacing(path) as newer:
            older.flush()
            newer.write("newer")
        older.write(" and more")
    assert path.read_text() == "newer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


def test_an_older_writer_that_fails_leaves_the_partial_file_of_the_newer(tmp_path):
    path = tmp_path / "a.csv"
    with replacing(path) as newer:
        pass
    with pytest.raises(ZeroDivisionError), replacing(path):  # noqa: PT012
        newer = (tmp_path / ".a.csv.part").with_suffix(".new")
        newer.write_text("the newer's")
        newer.rename(tmp_path / ".a.csv.part")
        raise ZeroDivisionError
    assert (tmp_path / ".a.csv.part").read_text() == "the newer's"


def part_of(steps):
    """Return the file to which the first media is downloaded."""
    name = read_json(steps.folder / "record_1.json")["file"]["path"].rsplit("/", 1)[1]
    return steps.folder / f".media_1.{name}.unfinished"


def test_a_download_waits_for_one_that_a_killed_run_left(ready, caplog):
    with part_of(ready).open("w") as other, ThreadPoolExecutor() as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = pool.submit(ready.download, 1)
        until(lambda: "another process still downloads this media" in caplog.text)
        fcntl.flock(other, fcntl.LOCK_UN)
        assert done.result(60)["state"] == "ready"


def test_a_download_that_waited_starts_again_after_the_other_finished(ready, caplog):
    part = part_of(ready)
    with part.open("w") as other, ThreadPoolExecutor() as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = pool.submit(ready.download, 1)
        until(lambda: "another process still downloads this media" in caplog.text)
        other.write("the other's")
        other.flush()
        part.replace(ready.folder / "media_1")
        fcntl.flock(other, fcntl.LOCK_UN)
        assert done.result(60)["md5_checked"]
        other.write(", and more")
    assert (ready.folder / "media_1").stat().st_size == 47048


@pytest.mark.parametrize("locks", [True, False])
def test_of_two_downloads_of_a_media_the_older_gives_up(ready, monkeypatch, locks):
    """Without file locks, and after somebody removed the partial file of a download that still runs."""

    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", refused)
    ready.server.fault("slow", operation="Download", seconds=2)
    with ThreadPoolExecutor() as pool:
        older = pool.submit(ready.download, 1)
        until(lambda: ready.server.requests("Download"))
        if locks:
            part_of(ready).unlink()
        assert ready.download(1)["md5_checked"]
        with pytest.raises(PipelineError, match=r"this one, which is older, gives up"):
            older.result(60)
    assert (ready.folder / "media_1").stat().st_size == 47048
    assert not list(ready.folder.glob(".*"))


@pytest.mark.usefixtures("impatient")
def test_a_download_that_waits_too_long_for_another_is_refused(ready):
    with part_of(ready).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(PipelineError, match=r"another process still downloads this media.*run again when it has"):
            ready.download(1)
    assert ready.download(1)["state"] == "ready"
    assert not list(ready.folder.glob(".*"))


def test_marks_of_two_runs_agree(ready):
    ready.upload(1)
    other = Steps(ready.folder.with_name("other"), ready.server)
    shutil.copytree(ready.folder, other.folder)
    runs = [threading.Thread(target=steps.mark, args=(1,)) for steps in (ready, other)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    (media,) = (media for media in ready.api.get_media_list(ready.server.project_id) if media["id"] == 1)
    assert media["attributes"][MARK] >= json.loads((ready.folder / "upload_1.json").read_text())["verified_at"]
