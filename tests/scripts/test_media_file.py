"""Which file of a video is read, by the setting media.file and by the files themselves."""

import shutil
from pathlib import Path

import pytest

from tests.media_files import write_video
from tests.scripts.tator_steps import Steps

ODD = Path(__file__).parents[1] / "data" / "odd"


def add(steps: Steps, original: Path, rate: float) -> int:
    """Add a media with an original and a copy; the content of the copy does not matter here."""
    copy = write_video(original.with_name("copy.mp4"), range(20))
    media_id = steps.server.add_media("a.mp4", files={"archival": [original], "streaming": [copy]})
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
