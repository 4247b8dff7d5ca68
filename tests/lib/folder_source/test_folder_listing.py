"""The listing of a folder: the files, their ids, and the report of what is left out."""

import io
import os
import shutil
import time

import cv2
import numpy as np
import pytest

from scripts.lib.errors import SettingsError
from scripts.lib.folder_source import listing
from scripts.lib.folder_source.content import HEAD_BYTES, kind_by_content, kind_by_suffix
from scripts.lib.folder_source.listing import list_folder, media_id_of
from scripts.lib.folder_source.patterns import matcher
from scripts.lib.frames.reader import open_frames
from tests.conftest import SYNTHETIC
from tests.media_files import write_video

PICTURE = np.full((80, 120, 3), 90, np.uint8)


def encoded(suffix):
    return cv2.imencode(suffix, PICTURE)[1].tobytes()


def paths(folder, **options):
    return [file.path for file in list_folder(folder, **options).files]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".jp2", ".ppm", ".avif"])
def test_pictures_by_content(suffix):
    assert kind_by_content(encoded(suffix)[:HEAD_BYTES]) == "image"
    assert kind_by_suffix(f"x{suffix.upper()}") == "image"


@pytest.mark.parametrize(
    "name",
    ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.ts", "a.m2ts", "a.mpg", "a.flv", "a.h264", "a.wmv", "a.mxf"],
)
def test_videos_by_content(name, tmp_path):
    codec = {"webm": "libvpx", "wmv": "wmv2", "mpg": "mpeg2video", "mxf": "mpeg2video"}.get(name[2:], "libx264")
    container = {"m2ts": "mpegts", "wmv": "asf", "mpg": "mpeg"}.get(name[2:])
    mux = {"mpegts_m2ts_mode": "1"} if name == "a.m2ts" else None
    path = write_video(tmp_path / name, range(3), codec=codec, container=container, mux=mux)
    assert kind_by_content(path.read_bytes()[:HEAD_BYTES]) == "video"
    assert kind_by_suffix(name) == (None if name in ("a.ts", "a.h264") else "video")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BM stands for Bermuda, and more text follows here",
        b"P1 is the first place, P2 the second",
        b"the skipper said: free the anchor",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\0\x20ftypM4A \0\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"OggS\0\2" + bytes(22) + b"\x01vorbis",
        b"#EXTM3U\n",
        b"%PDF-1.7",
        b"PK\3\4",
        b"import numpy\n" * 40,
    ],
)
def test_other_files_are_recognized(head):
    assert kind_by_content(head[:HEAD_BYTES]) is None


@pytest.fixture
def survey(tmp_path):
    """A folder with pictures and videos, good and odd names, and other files."""
    folder = tmp_path / "survey"
    for name in ("cam1/deep", "cam2", ".cache", "results"):
        (folder / name).mkdir(parents=True)
    jpeg = encoded(".jpg")
    for name in ("cam1/IMG_1.JPG", "cam1/deep/IMG_1.JPG", "cam2/b {x}.jpeg", "cam2/no_suffix", "cam2/IMG_1.LRV"):
        (folder / name).write_bytes(jpeg)
    shutil.copy(SYNTHETIC / "clip_910001.mp4", folder / "clip.data")
    shutil.copy(SYNTHETIC / "clip_910001.mp4", folder / "clip.mp4")
    for name in (".hidden.jpg", ".cache/a.jpg", "results/crop.jpg", "raw.NEF", "raw.dng"):
        (folder / name).write_bytes(jpeg)
    (folder / "notes.txt").write_text("notes\n")
    (folder / "empty.png").touch()
    (folder / "empty").touch()
    return folder


def test_pictures_and_videos_are_listed_and_other_files_are_reported(survey):
    os.mkfifo(survey / "pipe.jpg")
    found = list_folder(survey, exclude=["*.lrv"], not_below=[survey / "results", survey / "logs"])
    assert [file.path for file in found.files] == [
        "cam1/IMG_1.JPG",
        "cam1/deep/IMG_1.JPG",
        "cam2/b {x}.jpeg",
        "cam2/no_suffix",
        "clip.data",
        "clip.mp4",
        "empty.png",
    ]
    assert found.folder == str(survey)
    description = found.description()
    assert description.startswith(f"{survey}: 7 media; left out: 5 neither pictures nor videos (")
    for part in ("1 .nef", "1 .dng", "1 .txt", "1 without a suffix", "1 (not a file)", "1 by media.include and",
                 "2 hidden"):  # fmt: skip
        assert part in description, description
    sizes = {file.path: file.size for file in found.files}
    assert sizes["empty.png"] == 0
    assert sizes["clip.mp4"] == (survey / "clip.mp4").stat().st_size


def test_ids_depend_only_on_the_path(survey):
    before = {file.path: file.media_id for file in list_folder(survey).files}
    assert all(0 < media_id < 2**53 for media_id in before.values())
    assert len(set(before.values())) == len(before)
    (survey / "cam1" / "IMG_0.JPG").write_bytes(encoded(".jpg"))
    (survey / "clip.mp4").unlink()
    shutil.move(survey, survey.with_name("elsewhere"))
    after = {file.path: file.media_id for file in list_folder(survey.with_name("elsewhere")).files}
    assert after.keys() ^ before.keys() == {"cam1/IMG_0.JPG", "clip.mp4"}
    assert {path: media_id for path, media_id in after.items() if path in before}.items() <= before.items()
    assert media_id_of("cam1/IMG_1.JPG") == before["cam1/IMG_1.JPG"]


def test_two_files_with_the_same_id_are_refused(survey, monkeypatch):
    monkeypatch.setattr(listing, "_ID_BITS", 1)
    with pytest.raises(SettingsError, match=r"the files '.*' and '.*' would both have the id 1.*rename one"):
        list_folder(survey)


def test_links(survey, tmp_path):
    jpeg = encoded(".jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "far.jpg").write_bytes(jpeg)
    (outside / "other.jpg").write_bytes(jpeg)
    (survey / ".annex").mkdir()
    (survey / ".annex" / "key").write_bytes(jpeg)
    (survey / "far_link.jpg").symlink_to(outside / "far.jpg")
    (survey / "far_link_again.jpg").symlink_to(outside / "far.jpg")
    (survey / "annexed.jpg").symlink_to(".annex/key")
    (survey / "same.mp4").symlink_to("clip.mp4")
    (survey / "nothing.jpg").symlink_to("gone.jpg")
    (survey / "itself.jpg").symlink_to("itself.jpg")
    (survey / "loop").symlink_to(survey)
    (survey / "folder_link").symlink_to(outside)
    (survey / "device.jpg").symlink_to("/dev/zero")
    found = list_folder(survey)
    links = {file.path for file in found.files} & {path.name for path in survey.iterdir() if path.is_symlink()}
    assert links == {"annexed.jpg", "far_link.jpg"}
    left_out = found.left_out
    assert (left_out.folder_links, left_out.repeated_links, left_out.broken_links) == (2, 2, 2)
    assert left_out.others["(not a file)"] == 1
    by_path = {file.path: file for file in found.files}
    assert by_path["far_link.jpg"].size == len(jpeg)
    assert by_path["far_link.jpg"].media_id == media_id_of("far_link.jpg")


def test_names_of_any_bytes(tmp_path):
    names = [b"caf\xe9.jpg", "café.jpg".encode(), b"line\nbreak.jpg", b'comma,quote".jpg', b"caf\xe8.jpg"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(encoded(".jpg"))
    found = list_folder(tmp_path).files
    assert {os.fsencode(file.path) for file in found} == set(names)
    assert len({file.media_id for file in found}) == len(names)


def test_a_folder_that_cannot_be_read_is_named(survey, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("cam2/"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(SettingsError, match=r"cam2/' cannot be read \(Permission denied\).*media\.exclude"):
        list_folder(survey)
    assert all("cam2" not in path for path in paths(survey, exclude=["cam2/"]))
    with pytest.raises(SettingsError, match="was removed"):
        list_folder(survey / "nowhere")


def test_a_file_that_this_user_may_not_read_is_reported(survey, tmp_path, monkeypatch):
    """One whose name shows that it is a media ends the run, as a folder does; others and links are counted."""
    (survey / "cam2" / "link.jpg").symlink_to(tmp_path / "closed" / "a.jpg")
    state = os.stat

    def denied(path, **options):
        if str(path).endswith(closed):
            raise PermissionError(13, "Permission denied", path)
        return state(path, **options)

    monkeypatch.setattr(os, "stat", denied)
    closed = ("cam2/no_suffix", "cam2/link.jpg", "clip.data")
    found = list_folder(survey)
    assert found.left_out.unreadable == 3
    assert "; 3 that cannot be read: give this user the right to them" in found.description()
    closed = ("cam2/b {x}.jpeg",)
    with pytest.raises(SettingsError, match=r"cam2/b {x}.jpeg' cannot be read \(Permission denied\).*media\.exclude"):
        list_folder(survey)
    assert list_folder(survey, exclude=["*.jpeg"]).left_out.unreadable == 0


@pytest.mark.parametrize("suffix", ["mjpeg", "MJPG"])
def test_a_raw_motion_jpeg_is_a_video(tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", range(5), codec="mjpeg", pixels="yuvj420p", container="mjpeg")
    head = path.read_bytes()[:HEAD_BYTES]
    assert (kind_by_suffix(path.name), kind_by_content(head, path.name)) == ("video", "video")
    assert kind_by_content(head, "a.jpg") == "image"


@pytest.mark.parametrize(
    ("suffix", "codec", "size"),
    [
        ("dv", "dvvideo", (720, 576)),
        ("gxf", "mpeg2video", (720, 576)),
        ("h261", "h261", (352, 288)),
        ("h263", "h263", (352, 288)),
        ("mjpg", "mjpeg", (320, 180)),
        ("nut", "libx264", (320, 180)),
        ("obu", "libsvtav1", (320, 180)),
        ("rm", "rv10", (352, 288)),
        ("wtv", "mpeg2video", (320, 180)),
    ],
)
def test_rare_videos_are_read_undamaged(tmp_path, suffix, codec, size):
    container = {"mjpg": "mjpeg"}.get(suffix)
    pixels = {"mjpg": "yuvj420p", "gxf": "yuv422p"}.get(suffix, "yuv420p")
    path = write_video(
        tmp_path / f"a.{suffix}", range(5), codec=codec, size=size, container=container, pixels=pixels, encode={}
    )
    assert kind_by_suffix(path.name) == "video"
    with open_frames(path, "video") as frames:
        assert len(list(frames)) == 5
    assert frames.summary.damage == ""


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*.jpg", ["a.jpg", "x/y/A.JPG"], ["a.jpeg", "a.jpg.txt"]),
        ("IMG_?.jpg", ["x/IMG_1.jpg"], ["IMG_12.jpg"]),
        ("IMG_[0-3].jpg", ["IMG_2.jpg"], ["IMG_4.jpg", "IMG_-.jpg"]),
        ("[!a]*.jpg", ["b.jpg"], ["a.jpg", "x/a.jpg"]),
        ("cam1/*.jpg", ["cam1/a.jpg"], ["cam1/deep/a.jpg", "x/cam1/a.jpg"]),
        ("cam1/**/*.jpg", ["cam1/a.jpg", "cam1/b/c/a.jpg"], ["cam2/a.jpg"]),
        ("**/night/*", ["night/a.jpg", "x/night/a.jpg"], ["night/x/a.jpg"]),
        ("/a.jpg", ["a.jpg"], ["x/a.jpg"]),
        ("night", ["night/", "x/night/", "x/night"], ["nights/", "night/a.jpg"]),
        ("night/", ["night/", "x/night/"], ["night", "night/a.jpg"]),
        ("cam1/**", ["cam1/a.jpg", "cam1/x/a.jpg"], ["cam2/a.jpg", "cam1"]),
        ("a+b (1).jpg", ["a+b (1).jpg"], ["aab (1).jpg"]),
        ("[x.jpg", ["[x.jpg"], ["x.jpg"]),
        ("\u00e9t\u00e9/", ["\u00e9t\u00e9/", "e\u0301te\u0301/"], ["ete/"]),
        ("e\u0301.jpg", ["\u00e9.jpg", "e\u0301.jpg"], ["e.jpg"]),
    ],
)
def test_patterns(pattern, taken, left):
    matches = matcher([pattern])
    assert [path for path in taken + left if matches(path)] == taken


def test_include_and_exclude(survey):
    assert paths(survey, include=["*.mp4"]) == ["clip.mp4"]
    assert paths(survey, include=["cam1/**", "*.mp4"], exclude=["deep/"]) == ["cam1/IMG_1.JPG", "clip.mp4"]
    assert paths(survey, include=["nothing"]) == []


def test_files_of_known_suffixes_are_not_opened(tmp_path, monkeypatch):
    for folder in range(10):
        (tmp_path / str(folder)).mkdir()
        for number in range(1000):
            (tmp_path / str(folder) / f"{number}.jpg").touch()
    monkeypatch.setattr(os, "open", io.open)  # which refuses the arguments of os.open
    began = time.process_time()
    assert len(paths(tmp_path, exclude=["*.thm"])) == 10_000
    assert time.process_time() - began < 2  # 100,000 take 2 s
