"""A long video in parts gives the same boxes as in one piece, with any settings and with a damaged file."""

import json
import re
import shutil
from itertools import islice

import av
import pytest

from scripts.lib.frames.reader import open_frames
from scripts.lib.pictures.album import Album
from tests.conftest import SYNTHETIC
from tests.media_files import FAST, damage
from tests.tator_server.launch import running
from tests.test_end_to_end import Site, ran
from tests.workflow import CLUSTERS

LONG, FRAMES = "long.mp4", 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of media: a long video, the same one damaged, and a short one."""
    folder = tmp_path_factory.mktemp("media")
    shutil.copy(SYNTHETIC / "clip_910001.mp4", folder / "short.mp4")
    with av.open(str(folder / LONG), "w", options=FAST) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "ultrafast", "bf": "2", "g": "12"}
        for number, picture in enumerate(islice(pictures(), FRAMES)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    shutil.copy(folder / LONG, folder / "hurt.mp4")
    damage(folder / "hurt.mp4", 0.5, 2000)
    return folder


def pictures():
    for path in sorted(SYNTHETIC.glob("clip_*.mp4")):
        with open_frames(path, "video") as frames:
            yield from (picture for _, picture in frames)


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    with running(folder, tmp_path_factory.mktemp("state")) as server:
        yield server


def site_in(folder, server, **detect):
    site = Site(server, folder)
    site.settings["detect"] |= detect
    return site


def named(server):
    return {name: media_id for media_id, name in server.media.items()}


def results(site):
    """Return each media's CSV, and its record without the entries that depend on the parts."""
    found = {}
    for path in sorted((site.folder / "results" / "detections").iterdir()):
        found[path.name] = path.read_bytes()
        if path.suffix == ".json":
            record = json.loads(found[path.name])
            found[path.name] = {key: record[key] for key in record.keys() - {"seconds", "stages", "parts"}}
    return found


def tracks(site):
    """Return the files of tracks of each media."""
    return {path.name: path.read_bytes() for path in sorted((site.folder / "results" / "tracks").iterdir())}


@pytest.mark.parametrize("settings", [{}, {"frame_range": [20, 99], "frame_stride": 3}])
def test_parts_give_the_same_boxes_as_one_piece(server, tmp_path, settings):
    whole = site_in(tmp_path / "whole", server, **settings)
    parted = site_in(tmp_path / "parted", server, split_seconds=2, **settings)
    whole.settings["track"] = parted.settings["track"] = {"enabled": True}
    ids = named(server)
    one = whole.run("--notemp", "--until", "merge_detections", "track")
    assert one.returncode == 0, one.stdout
    done = parted.run("--until", "merge_detections", "track", "--set-resources", "detect:gpu=1", "--resources", "gpu=1")
    for rule in ("detect_part", "join_parts"):  # in the place of detect
        blocks = re.findall(rf"^(?:local)?rule {rule}:\n((?:    .+\n)+)", done.stdout, re.MULTILINE)
        assert blocks
        assert all("gpu=1" in block for block in blocks)
    jobs = ran(done)
    wanted = {LONG: 3, "hurt.mp4": 3, "short.mp4": 2}
    for name, parts in wanted.items():
        assert jobs.count(f"detect_part {ids[name]}") == parts
    assert results(parted) == results(whole)
    assert tracks(parted) == tracks(whole)
    assert any(b",1," in content for content in tracks(whole).values())
    assert (parted.folder / "results/detections.csv").read_bytes() == (
        whole.folder / "results/detections.csv"
    ).read_bytes()

    records = {name: json.loads((parted.folder / f"results/detections/{ids[name]}.json").read_text()) for name in ids}
    assert {name: record["parts"] for name, record in records.items()} == {LONG: 3, "hurt.mp4": 1, "short.mp4": 1}
    assert (records[LONG]["state"], records["hurt.mp4"]["state"]) == ("done", "damaged")
    assert records[LONG]["boxes"] > 20
    assert re.search("in one piece: ", (parted.folder / f"logs/join_parts/{ids['hurt.mp4']}.log").read_text())
    assert sorted(path.name for path in (parted.folder / "resources/parts").iterdir()) == sorted(
        f"{media_id}.json" for media_id in ids.values()
    )
    assert not (parted.folder / "resources/media").exists()
    assert "Nothing to be done" in parted.run("--until", "merge_detections", "track").stdout

    albums = [Album.open(site.folder / f"results/previews/{ids[LONG]}.zip") for site in (whole, parted)]
    # Near the edge of a part, another of equally good frames may be chosen.
    assert {kind for entry in albums[0].pictures for kind in entry.kinds} == {
        kind for entry in albums[1].pictures for kind in entry.kinds
    }
    best = [max(entry.kinds.get("certain", 0) for entry in album.pictures) for album in albums]
    assert best[0] == best[1]
    for entry in albums[1].pictures:
        assert albums[1].picture(entry.frame).startswith("data:image/jpeg;base64,")
    assert albums[1].clip
    assert albums[1].video().startswith("data:video/mp4;base64,")


def test_only_a_failed_part_is_processed_again(server, tmp_path):
    site = site_in(tmp_path, server, split_seconds=2)
    site.settings["tator"]["media_ids"] = [media_id] = [named(server)[LONG]]
    part = tmp_path / f"resources/parts/{media_id}/1.csv"
    part.mkdir(parents=True)  # a folder where Snakemake expects a file
    (part / "in the way").touch()
    assert site.run("--until", "merge_detections").returncode == 1
    shutil.rmtree(part)
    jobs = ran(site.run("--until", "merge_detections"))
    assert jobs.count(f"detect_part {media_id}") == 1
    assert json.loads((tmp_path / f"results/detections/{media_id}.json").read_text())["parts"] == 3


def test_parts_need_a_shared_file_system(server, tmp_path):
    site = site_in(tmp_path, server, split_seconds=2)
    store = ["--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket"]
    done = site.run("--dry-run", *store, PYTHONPATH=str(CLUSTERS))
    assert done.returncode == 1
    assert "detect.split_seconds: files go through a store (s3); expected a file system" in done.stdout


def test_shared_jobs_and_parts_exclude_each_other(server, tmp_path):
    site = site_in(tmp_path, server, split_seconds=2)
    site.settings["media"] = {"per_job": "auto"}
    done = site.run("--dry-run")
    assert done.returncode == 1
    assert "detect.split_seconds, media.per_job: 2 and 'auto'; expected media.per_job 1" in done.stdout


def test_an_original_numbered_as_its_copy_has_the_same_boxes_in_parts_and_shared_jobs(
    folder, tmp_path_factory, tmp_path
):
    original = tmp_path / "original.mp4"
    with av.open(str(original), "w", options=FAST) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "12"}
        for number, picture in enumerate(islice(pictures(), 60)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number if number < 30 else 30 + 3 * (number - 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with running(folder, tmp_path_factory.mktemp("state")) as server:
        media_id = server.add_media("two.mp4", files={"archival": [original], "streaming": [folder / "short.mp4"]})
        server.change("media", media_id, fps=12.7119, num_frames=60, width=640, height=360)
        ids = [media_id, named(server)["short.mp4"]]
        sites = {}
        for name, settings in {"whole": {}, "parts": {"split_seconds": 1}, "shared": {"per_job": 2}}.items():
            site = sites[name] = site_in(tmp_path / name, server)
            site.settings["tator"]["media_ids"] = ids
            site.settings["media"] = {"file": "archival"} | ({} if "split_seconds" in settings else settings)
            site.settings["detect"] |= {key: value for key, value in settings.items() if key == "split_seconds"}
            done = site.run("--until", "merge_detections")
            assert done.returncode == 0, done.stdout
    assert results(sites["whole"]) == results(sites["parts"]) == results(sites["shared"])
    record = results(sites["whole"])[f"{media_id}.json"]
    assert record["numbering"]["file"] == "archival"
    assert record["numbering"]["repeated"] > 5
    assert record["numbering"]["left_out"] > 5
    assert record["boxes"] > 20
    assert record["frames"]["used"] < record["frames"]["decoded"] == 60
