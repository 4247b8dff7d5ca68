"""Files of incomplete downloads: written completely, and removed if they will not be continued."""

import io
from pathlib import Path

from scripts.lib.downloads.part_files import part_path, remove_stale, write_all
from scripts.lib.records import MediaRecord
from tests.made_records import media_record, stored, stored_file


def test_a_partial_write_is_continued() -> None:
    class Reluctant(io.BytesIO):
        def write(self, content) -> int:  # type: ignore[no-untyped-def]
            return super().write(content[:3])

    part = Reluctant()
    write_all(part, b"0123456789")
    assert part.getvalue() == b"0123456789"


def ready(path: str) -> MediaRecord:
    return media_record(file=stored_file(path))


def test_only_downloads_that_will_be_continued_are_kept(tmp_path: Path) -> None:
    going_on, replaced, missing, elsewhere, of_another_job = (tmp_path / str(number) for number in range(5))
    for media in (going_on, replaced, missing, elsewhere, of_another_job):
        part_path(media, stored("1/2/first.mp4")).write_bytes(b"x")
    for name in (".1.part", ".1.json.part", "1", "unfinished"):
        (tmp_path / name).write_bytes(b"x")
    before = {path.name for path in tmp_path.iterdir()}
    remove_stale(
        {
            going_on: ready("1/2/first.mp4"),
            replaced: ready("1/2/second.mp4"),
            missing: media_record(state="missing"),
            elsewhere: None,
            tmp_path / "no folder/7": None,
        }
    )
    gone = before - {path.name for path in tmp_path.iterdir()}
    assert gone == {f".{number}.first.mp4.unfinished" for number in (1, 2, 3)}


def test_long_names_are_cut(tmp_path: Path) -> None:
    part_path(tmp_path / "1", stored(f"1/2/{'x' * 300}.mp4")).touch()
