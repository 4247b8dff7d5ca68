"""Several media in a job give the same files, boxes and tracks as a job for each; nothing finished is repeated."""

import json
import os
import re
import shutil

import cv2
import pytest
import yaml

from tests.conftest import SYNTHETIC
from tests.scripts.tator_steps import Steps
from tests.tator_server.launch import running
from tests.test_end_to_end import Site
from tests.workflow import CLUSTERS, ROOT, snakemake

PROFILES = {path.parent.name: yaml.safe_load(path.read_text()) for path in (ROOT / "profiles").glob("*/config.yaml")}


@pytest.fixture
def twenty(tmp_path):
    """A site of twenty media: two videos, a file that is no video, and pictures of several sizes."""
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("clip_910001.mp4", "clip_910002.mp4"):
        shutil.copy(SYNTHETIC / name, folder / name)
    (folder / "junk.mp4").write_text("this is not a video\n" * 100)
    video = cv2.VideoCapture(str(SYNTHETIC / "clip_910003.mp4"))
    for number in range(17):
        _, picture = video.read()
        cv2.imwrite(str(folder / f"{number:02d}.png"), picture[: 180 + 9 * number] if number % 2 else picture)
    with running(folder, tmp_path / "state") as server:
        yield server


def jobs(done):
    """Return the names of the rules that ran, with how many jobs each had."""
    names = [
        re.sub(r"_\d+$", "", name) for name in re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stdout, re.M)
    ]
    return {name: names.count(name) for name in sorted(set(names))}


def results(site):
    """Return each media's CSV, and its record without the times."""
    found = {}
    for path in sorted((site.folder / "results" / "detections").iterdir()):
        text = path.read_text()
        found[path.name] = re.sub(r'"(seconds|stages)": (\{[^}]*\}|[0-9.]+)', "", text)
    return found


def tracks_in_tator(site):
    """Return the states of each media; check their number and their numbers of boxes by its record of tracks."""
    found = {}
    for media_id in site.server.media:
        states = site.api.get_state_list(site.server.project_id, media_id=[media_id])
        record = site.folder / f"results/tracks/{media_id}.json"
        tracks = json.loads(record.read_text())["tracks"]
        lengths = sorted(track["boxes"] + track["interpolated"] for track in tracks)
        assert sorted(len(state["localizations"]) for state in states) == lengths
        found[media_id] = sorted(state["id"] for state in states)
    return found


def test_shared_jobs_give_the_same_results_as_a_job_for_each_media(twenty, tmp_path):
    """Compare boxes and tracks, in the files and in Tator."""
    site, each = Site(twenty, tmp_path / "many"), Site(twenty, tmp_path / "each")
    track_type = Steps(site.folder, twenty).add_track_type()
    for one in (site, each):
        one.settings["track"] = {"enabled": True, "fill_gaps": True}
        one.settings["upload"]["track_type_id"] = track_type
    site.settings["media"] = {"per_job": 8}
    done = site.run()
    assert done.returncode != 0
    assert "1 of 20 media have no boxes in Tator from this run: media" in done.stdout
    junk = next(media_id for media_id, name in twenty.media.items() if name == "junk.mp4")
    assert [media_id for media_id, state in site.states().items() if state == "unreadable"] == [junk]
    assert [media_id for media_id, mark in site.marks().items() if mark in ("No", None, "")] == [junk]
    assert 2 <= jobs(done)["detect_many"] == jobs(done)["upload_many"] < 20
    assert not list((site.folder / "resources").glob("media*/*"))

    boxes, tracks = site.boxes(), tracks_in_tator(site)
    videos = [media_id for media_id, name in twenty.media.items() if name.startswith("clip")]
    assert all(tracks[media_id] for media_id in videos)
    each.settings["tator"]["media_ids"] = [media_id for media_id in twenty.media if media_id % 9 == 1]
    assert each.run().returncode in (0, 1)
    mine = results(each)
    assert any(f"{media_id}.csv" in mine for media_id in videos)
    assert mine == {name: text for name, text in results(site).items() if name in mine}
    assert (site.boxes(), tracks_in_tator(site)) == (boxes, tracks)


@pytest.mark.parametrize("keep_files", [False, True])
def test_crops_of_media_that_share_jobs(twenty, tmp_path, keep_files):
    site = Site(twenty, tmp_path / "crops")
    site.settings["media"] = {"per_job": 2, "keep_files": keep_files}
    site.settings["export"] = {"crops": True}
    names = ("clip_910001.mp4", "00.png", "01.png")
    media_ids = [media_id for media_id, name in twenty.media.items() if name in names]
    site.settings["tator"]["media_ids"] = media_ids
    done = site.run()
    assert done.returncode == 0, done.stdout
    boxes = sum(len(path.read_text().splitlines()) - 1 for path in site.folder.glob("results/detections/*.csv"))
    assert len(list(site.folder.glob("results/crops/*/*/*.jpg"))) == boxes > 0
    left = {str(path.relative_to(site.folder / "resources")) for path in site.folder.glob("resources/media*/*")}
    assert left == ({f"media/{media_id}" for media_id in media_ids} if keep_files else set())
    assert "Nothing to be done" in site.run().stdout


def test_only_changed_media_are_processed_again(twenty, tmp_path):
    site = Site(twenty, tmp_path / "many")
    site.settings["media"] = {"per_job": 8, "skip_processed": True}  # which leaves the run's own media as they are
    good = [media_id for media_id, name in twenty.media.items() if name.endswith(".png")]
    site.settings["tator"]["media_ids"] = good[:-1]
    done = site.run()
    assert done.returncode == 0
    # The addresses of a job's media come in one answer.
    assert len(twenty.requests("GetDownloadInfo")) == jobs(done)["detect_many"] < len(twenty.requests("Download"))
    assert "Nothing to be done" in site.run().stdout
    twenty.clear_requests()
    site.settings["tator"]["media_ids"] = good
    done = site.run()
    assert done.returncode == 0, done.stdout
    assert len(twenty.requests("Download")) == 1
    assert jobs(done)["detect_many"] <= 2
    assert set(site.states().values()) == {"done"}
    twenty.clear_requests()
    site.settings["upload"]["threshold"] = 0.9
    done = site.run()
    assert "detect_many" not in jobs(done)
    assert twenty.requests("Download") == []
    site.settings["tator"]["media_ids"] = good[1:]
    assert site.run().returncode == 0
    assert list(site.states()) == good[1:]
    site.settings["tator"]["media_ids"] = good[:0:-1]
    assert jobs(site.run()).keys() == {
        "all",
        "count_species",
        "get_attributes",
        "merge_detections",
        "mark_processed",
        "summarize",
        "make_report",
        "conclude",
    }
    assert list(site.states()) == good[:0:-1]


def test_a_failed_shared_job_keeps_its_finished_media(twenty, tmp_path):
    site = Site(twenty, tmp_path / "many")
    site.settings["media"] = {"per_job": 100}
    good = [media_id for media_id, name in twenty.media.items() if name.endswith(".png")]
    site.settings["tator"]["media_ids"] = good
    twenty.fault("status", status=403, operation="Download", media=good[0], times=None)
    first = site.run(TATOR_PATIENCE_SECONDS="1")
    assert first.returncode != 0
    assert re.search(r"1 of 17 media have no boxes in Tator from this run: media .* is failed: .*403", first.stdout), (
        first.stdout
    )
    kept = len(list((site.folder / "resources" / "finished").iterdir()))
    assert kept == 16
    twenty.clear_faults()
    twenty.clear_requests()
    assert site.run().returncode == 0
    assert len(twenty.requests("Download")) == 17 - kept
    assert set(site.states().values()) <= {"done", "no detections"}

    # Missing results are made again from the files that are kept.
    deleted = [f"results/detections/{good[0]}.csv", f"results/previews/{good[1]}.zip"]
    before = [(site.folder / path).read_bytes() for path in deleted]
    for path in deleted:
        (site.folder / path).unlink()
    twenty.clear_requests()
    shown = site.run("-n")
    assert jobs(shown).keys() >= {"detect_many"}, shown.stdout
    assert not any((site.folder / path).exists() for path in deleted)
    assert "resolve_many" not in jobs(shown)
    assert site.run().returncode == 0
    assert [(site.folder / path).read_bytes() for path in deleted] == before
    assert twenty.requests("Download") == []

    # The same for other files of a media.
    for path in (f"resources/records/{good[2]}.json", f"results/uploads/{good[3]}.json", deleted[0]):
        (site.folder / path).unlink()
        assert site.run().returncode == 0
        assert (site.folder / path).exists(), path
    (site.folder / deleted[0]).unlink()
    assert site.run("results/detections.csv", "--force").returncode == 0
    assert (site.folder / deleted[0]).exists()
    assert site.run().returncode == 0
    assert "Nothing to be done" in site.run().stdout


def planned(folder, *options):
    """Return threads and resources of each job in a dry run with shared jobs, by the job's name."""
    settings = yaml.safe_load((ROOT / "tests" / "data" / "settings.yaml").read_text())
    settings |= {"media": {"per_job": 100}, "network": {"data_image": "registry.example.org/network:1"}}
    executors = {"PYTHONPATH": os.pathsep.join([str(ROOT / "deploy" / "executor"), str(CLUSTERS)])}
    done = snakemake(folder, "-n", *options, settings=settings, environ=executors)
    assert done.returncode == 0, done.stdout
    _, *parts = re.split(r"^(?:local)?(?:rule|checkpoint) (\w+):$", done.stdout, flags=re.M)
    found = (re.findall(r"^    (threads|resources): (.*)", text, re.M) for text in parts[1::2])
    return dict(zip(parts[::2], map(dict, found), strict=True))


@pytest.mark.parametrize("profile", sorted(name for name, one in PROFILES.items() if "set-resources" in one))
def test_profiles_set_the_same_resources_for_shared_jobs(profile, tmp_path):
    store = ["--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path / "store")]
    storage = store if "default-storage-provider" in PROFILES[profile] else []
    jobs = planned(tmp_path, "--workflow-profile", str(ROOT / "profiles" / profile), *storage)
    shared = [jobs[name]["resources"] for name in jobs if name.startswith("detect_many")]
    assert shared
    for name, value in PROFILES[profile]["set-resources"]["detect"].items():
        assert all(f"{name}={value}" in each.split(", ") for each in shared), (name, shared)


def test_a_shared_job_can_have_its_own_resources(tmp_path):
    options = ["--set-threads", "detect=2", "detect_many_3=1"]
    options += ["--set-resources", "resolve_media:a=1", "upload_detections:b=2", "detect:c=3", "detect_many_3:c=4"]
    jobs = planned(tmp_path, *options)
    reserved = {name: (one.get("threads"), one["resources"].partition(", ")[2]) for name, one in jobs.items()}
    wanted = {
        "resolve_many_1": (None, "a=1"),
        "detect_many_1": ("2", "c=3"),
        "detect_many_3": (None, "c=4"),
        "upload_many_1": (None, "b=2"),
    }
    assert {name: reserved[name] for name in wanted} == wanted
