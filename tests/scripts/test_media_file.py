"""Which file of a video is read, by the setting media.file and by the files themselves."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tator.util import md5sum

from scripts.lib.server.tator_md5 import IMPORTED_BYTES
from tests.media_files import write_video
from tests.scripts.tator_steps import Steps

ODD = Path(__file__).parents[1] / "data" / "odd"


def add(steps: Steps, original: Path, rate: float, **fields: Any) -> int:
    """Add a media with an original and a copy; the content of the copy does not matter here."""
    copy = write_video(original.with_name("copy.mp4"), range(20))
    media_id = steps.server.add_media("a.mp4", files={"archival": [original], "streaming": [copy]}, **fields)
    steps.server.change("media", media_id, fps=rate, width=160, height=90)
    return media_id


@pytest.mark.parametrize(
    ("file", "even", "role"),
    [
        ("auto", True, "archival"),
        ("auto", False, "streaming"),
        ("archival", False, "archival"),
        ("streaming", True, "streaming"),
    ],
)
def test_which_file_is_read(steps, tmp_path, file, even, role):
    original = tmp_path / "original.mp4"
    if even:
        write_video(original, range(30))
    else:
        shutil.copy(ODD / "z_vfr.mp4", original)
    media_id = add(steps, original, 25.0 if even else 14.2857)
    steps.resolve(media_id, file=file)
    download = steps.download(media_id)
    assert (download["state"], download["role"]) == ("ready", role)
    expected = original if role == "archival" else tmp_path / "copy.mp4"
    assert (steps.folder / f"media_{media_id}").read_bytes() == expected.read_bytes()
    assert download["role_reason"]
    assert download["md5_checked"] is (role == "archival")


def test_a_media_with_only_one_kind_of_file_is_read_from_it(steps, tmp_path):
    copy = write_video(tmp_path / "copy.mp4", range(20))
    media_id = steps.server.add_media("a.mp4", files={"streaming": [copy]})
    steps.resolve(media_id, file="archival")
    assert steps.download(media_id)["role"] == "streaming"
    steps.resolve(1, file="streaming")
    assert steps.download(1)["role"] == "archival"


@pytest.mark.parametrize(
    ("file", "encodings", "role", "transfers"),
    [
        ("auto", [], "streaming", 3),
        ("archival", [], "archival", 2),
        ("auto", ["hevc"], "streaming", 1),
        ("archival", ["hevc"], "archival", 1),
        ("auto", ["copy", "hevc"], "streaming", 3),
    ],
)
def test_an_original_that_tator_encoded_again(steps, tmp_path, file, encodings, role, transfers):  # noqa: PLR0917
    config = [{"encode": {"vcodec": vcodec}} for vcodec in encodings]
    steps.server.change("media_type", steps.server.video_type_id, archive_config=config or None)
    media_id = add(steps, write_video(tmp_path / "original.mp4", range(30)), 25.0, md5="1" * 32)
    steps.resolve(media_id, file=file)
    steps.server.clear_requests()
    download = steps.download(media_id)
    assert (download["state"], download["role"], download["md5_checked"]) == ("ready", role, False)
    assert len(steps.server.requests("Download")) == transfers
    if file == "auto":
        assert ("encoded the original again" if transfers == 1 else "not that of the uploaded file") in download[
            "role_reason"
        ]


def test_an_original_is_stored_as_it_is_if_the_archive_copies_it(steps, tmp_path):
    steps.server.change("media_type", steps.server.video_type_id, archive_config=[{"encode": {"vcodec": "copy"}}])
    media_id = add(steps, write_video(tmp_path / "original.mp4", range(30)), 25.0)
    steps.resolve(media_id)
    download = steps.download(media_id)
    assert (download["role"], download["md5_checked"]) == ("archival", True)


def test_an_original_that_was_imported_by_its_address(steps, tmp_path):
    original = write_video(tmp_path / "original.mp4", range(30))
    size = IMPORTED_BYTES + 1000
    with original.open("ab") as stream:  # an unused box of MP4
        stream.write((size - original.stat().st_size).to_bytes(4, "big") + b"free")
        stream.truncate(size)
    (tmp_path / "first").write_bytes(original.read_bytes()[:IMPORTED_BYTES])
    media_id = add(steps, original, 25.0, md5=md5sum(str(tmp_path / "first"), size))
    steps.resolve(media_id)
    download = steps.download(media_id)
    assert (download["role"], download["md5_checked"]) == ("archival", True)


def test_a_media_type_whose_archive_config_cannot_be_read(steps):
    steps.server.change("media_type", steps.server.video_type_id, archive_config=[7])
    [record] = steps.resolve(1)
    assert (record["state"], "archive_config" in record["reason"]) == ("unsupported", True)
