"""The listing of a run, and the results of files that disappear and return."""

import errno
import os
from pathlib import Path
from random import Random

import pytest

from scripts import list_media as list_script
from scripts.lib.detection.media_frames import MediaFrames
from scripts.lib.detection.numbering import numbering_of
from scripts.lib.errors import PipelineError, SettingsError
from scripts.lib.folder_source import local_media, run_listing
from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing, list_folder, media_id_of
from scripts.lib.folder_source.run_listing import (
    begin,
    digest,
    list_for_run,
    media_ids_of,
    of_media,
    read_listing,
    read_part,
    write_listing,
)
from scripts.lib.records import LocalFile, MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.planning.sub_folders import file_of
from scripts.list_media import list_media
from tests.media_files import number_in, write_video
from tests.test_folder_run import ODD_NAME

MEDIA = {"include": [], "exclude": []}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)


def folder_of(base: Path, *names: str) -> Path:
    folder = base / "survey"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PNG)
    return folder


def test_a_listing_with_any_names_is_written_and_read(tmp_path):
    folder = folder_of(tmp_path, "a.png", ODD_NAME, "line\nbreak.png", "sub/ü.png")
    found = list_folder(folder)
    write_listing(tmp_path / "run" / "listing", found)
    assert read_listing(tmp_path / "run" / "listing") == Listing(found.folder, list(found.files), LeftOut())
    assert local_media.listed_folder(tmp_path / "run" / "listing") == str(folder)
    written, ids = tmp_path / "run" / "listing", [file.media_id for file in found.files]
    assert list(media_ids_of(written)) == ids
    assert list(of_media(written, ids)) == list(found.files)
    assert list(of_media(written, ids[1::2])) == list(found.files)[1::2]
    with pytest.raises(PipelineError, match="no file has the id 7"):
        list(of_media(written, [7]))
    with pytest.raises(PipelineError, match="start the run again"):
        read_listing(tmp_path / "nothing")


def test_the_digest_changes_with_path_size_and_time():
    one = ListedFile(1, "a", 2, 3)
    others = [one._replace(path="b"), one._replace(size=3), one._replace(modified_ns=4)]
    assert len({digest([each]) for each in (one, *others)} | {digest([]), digest([one, one])}) == 6


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "does not exist"),
        ("~/x", "only a shell replaces"),
        ("a.png", "is not a folder"),
        ("empty", "no media"),
    ],
)
def test_a_folder_that_cannot_be_used_is_reported(tmp_path, monkeypatch, folder, message):
    monkeypatch.chdir(folder_of(tmp_path, "a.png"))
    Path("empty").mkdir()
    with pytest.raises(SettingsError, match=f"media.folder: .*{message}"):
        list_for_run({**MEDIA, "folder": folder}, Path.cwd())


def test_a_run_inside_the_folder_leaves_out_its_files(tmp_path):
    folder = folder_of(tmp_path, "a.png", "results/crops/x.png", "resources/media/1.png", "sub/results/b.png")
    found = list_for_run({**MEDIA, "folder": str(folder)}, folder)
    assert [file.path for file in found.files] == ["a.png", "sub/results/b.png"]


def test_results_of_missing_files_are_kept_until_they_return(tmp_path):
    folder = folder_of(tmp_path, "a.png", "b.png")
    run = tmp_path / "run"
    results = [run / "results" / name.format(media_id_of("b.png")) for name in ("detections/{}.csv", "previews/{}.zip")]
    for path in results:
        path.parent.mkdir(parents=True)
        path.write_text("result")
    dates = [path.stat().st_mtime_ns for path in results]
    assert begin(list_folder(folder), run) == []
    (folder / "b.png").rename(tmp_path / "b.png")
    [message] = begin(list_folder(folder), run)
    left = "(gone, or left out by media.include, media.exclude)"
    assert message.startswith(f"1 file of the last run is not used any more {left}: b.png. ")
    assert not any(path.exists() for path in results)
    (tmp_path / "b.png").rename(folder / "b.png")
    assert begin(list_folder(folder), run) == []
    assert [path.stat().st_mtime_ns for path in results] == dates


def test_only_new_files_with_results_are_looked_for(tmp_path, monkeypatch):
    """A folder may get a hundred thousand new files after others have gone."""
    folder, run = folder_of(tmp_path, "a.png", "b.png"), tmp_path / "run"
    kept = run / "resources" / "folder" / "gone" / "detections" / f"{media_id_of('a.png')}.csv"
    kept.parent.mkdir(parents=True)
    kept.touch()
    moved = list[int]()
    monkeypatch.setattr(run_listing, "_move", lambda media_id, *_: moved.append(media_id))
    begin(list_folder(folder), run)
    assert moved == [media_id_of("a.png")]


def listed(tmp_path, folder, **changes):
    """Return the records of a folder's media by their names."""
    found = list_folder(folder)
    write_listing(tmp_path / "listing", found)
    paths = [tmp_path / f"{file.media_id}.json" for file in found.files]
    options = {"kind": "any", "changed_by": "time", **changes}
    list_media(listing=tmp_path / "listing", records=paths, **options)
    records = [read_record(MediaRecord, path) for path in paths]
    return {record.name: record for record in records}


def test_records_describe_the_files(tmp_path):
    folder = folder_of(tmp_path, "a.png", "film.jpg", ODD_NAME)
    write_video(folder / "film.jpg", range(20), container="mp4")  # its content counts, not its name
    (folder / "empty.mp4").touch()
    records = listed(tmp_path, folder)
    assert {name: record.kind for name, record in records.items()} == {
        "a.png": "image",
        "film.jpg": "video",
        "caf\\xe9 {x},'1'.jpg": "image",
        "empty.mp4": "video",
    }
    assert all(record.state == "ready" for record in records.values())
    film = records["film.jpg"]
    assert (film.fps, film.num_frames) == (25, 20)
    state = (folder / "film.jpg").stat()
    assert film.local == LocalFile(path="film.jpg", size=state.st_size, modified_ns=state.st_mtime_ns)
    pictures = listed(tmp_path, folder, kind="image")
    assert {name: record.excluded for name, record in pictures.items() if record.excluded}.keys() == {
        name for name, record in records.items() if record.kind == "video"
    }
    assert pictures["film.jpg"].state == "unsupported"
    assert pictures["film.jpg"].reason == "it is of the kind video, and media.kind is image"


def test_a_raw_motion_jpeg_is_recorded_as_a_video(tmp_path):
    folder = folder_of(tmp_path)
    folder.mkdir()
    write_video(folder / "a.mjpeg", range(5), codec="mjpeg", pixels="yuvj420p")
    (folder / "b.jpg").write_bytes((folder / "a.mjpeg").read_bytes())
    records = listed(tmp_path, folder)
    assert {name: record.kind for name, record in records.items()} == {"a.mjpeg": "video", "b.jpg": "image"}


def test_with_content_hashes_a_new_date_does_not_change_the_record(tmp_path):
    folder = folder_of(tmp_path, "a.png")
    before = listed(tmp_path, folder, changed_by="content"), listed(tmp_path, folder)
    os.utime(folder / "a.png", ns=(1, 1))
    after = listed(tmp_path, folder, changed_by="content"), listed(tmp_path, folder)
    assert after[0] == before[0]
    assert after[1] != before[1]
    (folder / "a.png").write_bytes(PNG[:-1] + b"x")
    assert listed(tmp_path, folder, changed_by="content") != before[0]


def test_a_file_that_changed_after_listing_is_a_fault_of_its_media(tmp_path):
    folder = folder_of(tmp_path, "a.png", "b.png", "c.png")
    records = listed(tmp_path, folder)
    found = {}
    (folder / "a.png").write_bytes(b"other")
    (folder / "b.png").unlink()
    for name, record in records.items():
        path = local_media.local_path(record, tmp_path / "listing")
        assert path == folder / name
        found[name] = local_media.check(record, path)
    assert [found[name].state for name in ("a.png", "b.png", "c.png")] == ["failed", "failed", "ready"]
    assert "was changed since the run was planned; run again" in (found["a.png"].reason or "")
    assert "was removed since the run was planned; run again" in (found["b.png"].reason or "")


def test_a_file_that_is_removed_before_it_is_checked_is_a_fault_of_its_media(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = folder_of(tmp_path, "a.png", "b.png")
    found = list_folder(folder)
    write_listing(tmp_path / "listing", found)
    (folder / "a.png").unlink()
    paths = [tmp_path / f"{file.media_id}.json" for file in found.files]
    list_media(listing=tmp_path / "listing", kind="any", changed_by="time", records=paths)
    states = [read_record(MediaRecord, path).state for path in paths]
    assert states == ["failed", "ready"]
    assert len(list(Path("resources/failed").iterdir())) == 1  # so that the next run tries again


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.EIO, "check its disk"), (errno.ESTALE, "check its disk"), (errno.EACCES, "right to")]
)
def test_a_file_that_cannot_be_opened_is_a_fault_of_its_media(tmp_path, monkeypatch, code, remedy):
    record = listed(tmp_path, folder_of(tmp_path, "a.png"))["a.png"]

    def denied(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", denied)
    found = local_media.check(record, tmp_path / "survey" / "a.png")
    assert found.state == "failed"
    assert f"its file cannot be read ({os.strerror(code)})" in (found.reason or "")
    assert remedy in (found.reason or "")
    code = errno.EMFILE  # of the machine
    with pytest.raises(OSError, match="Too many open files"):
        local_media.check(record, tmp_path / "survey" / "a.png")


def test_a_file_that_the_disk_cannot_read_is_a_fault_of_its_media(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = folder_of(tmp_path, "a.png")
    (folder / "bad.jpg").symlink_to("/proc/self/mem")  # reading its start fails as a bad sector does
    found = listed(tmp_path, folder)
    assert {name: record.state for name, record in found.items()} == {"a.png": "ready", "bad.jpg": "failed"}
    assert found["bad.jpg"].reason == "its file cannot be read (Input/output error); check its disk, and run again"


def test_an_unexpected_error_with_a_file_is_a_fault_of_its_media(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = folder_of(tmp_path, "a.mp4", "b.png")
    write_video(folder / "a.mp4", range(5))

    def raises(_):
        raise AssertionError("width has to be even")

    monkeypatch.setattr(list_script, "VideoFrames", raises)
    records = listed(tmp_path, folder)
    assert {name: record.state for name, record in records.items()} == {"a.mp4": "failed", "b.png": "ready"}
    assert "an unexpected error, AssertionError: width has to be even" in (records["a.mp4"].reason or "")
    assert records["a.mp4"].local is not None
    assert len(list(Path("resources/failed").iterdir())) == 1  # so that the next run tries again


def test_an_error_of_the_machine_ends_the_listing(tmp_path, monkeypatch):
    folder = folder_of(tmp_path, "a.mp4")

    def raises(*_):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(list_script, "_kind", raises)
    with pytest.raises(OSError, match="too many open files"):
        listed(tmp_path, folder)


def test_frames_of_a_video_have_the_numbers_that_tator_shows(tmp_path):
    """Pictures 10 to 14 are missing: counted, picture 15 would have the number 10; by its time it has 13."""
    folder = tmp_path / "survey"
    folder.mkdir()
    shown = [number for number in range(40) if not 10 <= number < 15]
    write_video(folder / "a.mp4", shown, times=shown)
    listing = list_folder(folder)
    path = tmp_path / f"{listing.files[0].media_id}.json"
    write_listing(tmp_path / "listing", listing)
    list_media(listing=tmp_path / "listing", kind="any", changed_by="time", records=[path])
    record = read_record(MediaRecord, path)
    frames = MediaFrames(folder / "a.mp4", record, local_media.check(record, folder / "a.mp4"), range(1000))
    rate = 35 / 40 * 25  # the average rate, as Tator's transcoder computes it
    with frames.open() as source:
        found = {number_in(picture): number for number, picture in source}
        numbering = numbering_of(record, local_media.check(record, folder / "a.mp4"), source.summary)
    assert {painted: abs(number - painted * rate / 25) <= 1 for painted, number in found.items()} == dict.fromkeys(
        found, True
    )
    assert numbering is not None
    assert numbering.repeated >= 1
    assert numbering.disagreements == []
    assert not numbering.replaces_original


def test_a_part_of_the_listing_is_read_for_any_ids(tmp_path):
    random = Random(20)
    for count in (1, 2, 3, 50):
        numbers = random.sample(range(1, 200), count)
        files = [ListedFile(number, "x" * random.randrange(40), number, number) for number in numbers]
        write_listing(tmp_path / "listing.jsonl", Listing("/survey", files, LeftOut()))
        by_id, ids = {file.media_id: file for file in files}, sorted(numbers)
        for begin_at in range(count):
            part = ids[begin_at : begin_at + 7][::-1]
            assert read_part(tmp_path / "listing.jsonl", part) == [by_id[number] for number in part]
    assert read_part(tmp_path / "listing.jsonl", []) == []
    with pytest.raises(PipelineError, match="no file has the id 200 any more; start the run again"):
        read_part(tmp_path / "listing.jsonl", [200])
    with pytest.raises(PipelineError, match="expected the listing of this run"):
        read_part(tmp_path / "other.jsonl", [1])


def test_results_of_missing_files_are_kept_with_and_without_sub_folders(tmp_path):
    """In results/, or in the sub-folders of a run of many media."""
    folder, run = folder_of(tmp_path, "a.png", "b.png"), tmp_path / "run"
    listing = list_folder(folder)
    begin(listing, run)
    gone = listing.files[0].media_id
    for in_folders in (False, True):
        results = [
            run / "results" / file_of(pattern, gone, in_folders=in_folders)
            for pattern in ("detections/{media_id}.csv", "previews/{media_id}.zip", "tracks/{media_id}.json")
        ]
        for path in results:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("its boxes")
        (folder / "a.png").rename(tmp_path / "a.png")
        assert "1 file of the last run is not used any more" in begin(list_folder(folder), run)[0]
        assert not any(path.exists() for path in results)
        (tmp_path / "a.png").rename(folder / "a.png")
        begin(list_folder(folder), run)
        assert all(path.exists() for path in results)
        for path in results:
            path.unlink()
