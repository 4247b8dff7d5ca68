"""Test reading frames of several media again: a fault of one media does not affect the others."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lib.downloads import frames_again as module
from scripts.lib.downloads.frames_again import MediaPlace, frames_again
from scripts.lib.errors import DeviceError, MediaFault, MediaServerError
from scripts.lib.files import read_json
from scripts.lib.folder_source.listing import list_folder, media_id_of
from scripts.lib.folder_source.run_listing import write_listing
from scripts.lib.frames.reader import open_frames
from scripts.list_media import list_media
from tests.media_files import number_in, write_video

NAMES = ["a.mp4", "b.mp4", "c.mp4"]


@pytest.fixture
def records(tmp_path: Path) -> list[Path]:
    (tmp_path / "survey").mkdir()
    for name in NAMES:
        write_video(tmp_path / "survey" / name, range(5))
    write_listing(tmp_path / "listing", list_folder(tmp_path / "survey"))
    paths = [tmp_path / f"{media_id_of(name)}.json" for name in NAMES]
    list_media(listing=tmp_path / "listing", kind="any", changed_by="time", records=paths)
    assert [read_json(path)["state"] for path in paths] == ["ready"] * 3
    return paths


def found(records: list[Path], folder: Path) -> Iterator[tuple[str, int, int]]:
    names = {media_id_of(name): name for name in NAMES}
    wanted = dict.fromkeys(names, (1, 3))
    for again in frames_again(wanted, records, MediaPlace(listing=folder / "listing"), folder):
        yield names[again.media_id], again.frame, number_in(again.picture)


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(media: Path, *arguments: object) -> object:
        if media.name == "b.mp4":
            raise error
        return open_frames(media, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "open_frames", opened)


def test_frames_of_all_media_are_read(records: list[Path], tmp_path: Path) -> None:
    assert sorted(found(records, tmp_path)) == [(name, frame, frame) for name in NAMES for frame in (1, 3)]


def test_only_records_of_these_media_are_read(records: list[Path], tmp_path: Path) -> None:
    """A run may have a million of them."""
    records.insert(0, tmp_path / "7.json")
    assert {name for name, _, _ in found(records, tmp_path)} == set(NAMES)


@pytest.mark.parametrize(
    "error", [MediaFault("unreadable", "odd"), ValueError("odd"), MemoryError(), MediaServerError("odd")]
)
def test_a_media_that_fails_is_left_out(
    records: list[Path], tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    fail_with(error, monkeypatch)
    assert {name for name, _, _ in found(records, tmp_path)} == {"a.mp4", "c.mp4"}
    assert f"media {media_id_of('b.mp4')}: {error}; its pictures are left out" in caplog.text


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), DeviceError("gone")])
def test_a_fault_of_the_machine_is_raised(
    records: list[Path], tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(error, monkeypatch)
    with pytest.raises(type(error)):
        list(found(records, tmp_path))
