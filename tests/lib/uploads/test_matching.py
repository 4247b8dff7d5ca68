"""Which media in Tator a file matches; uncertain cases are reported, never guessed."""

import tracemalloc
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import pytest

from scripts.lib.records import DetectionRecord
from scripts.lib.records.detection import Numbering
from scripts.lib.records.match import MatchRecord
from scripts.lib.server.tator_md5 import TatorMd5
from scripts.lib.uploads.matching import LocalEntry, Matching, TatorEntry
from scripts.lib.uploads.same_frames import difference
from tests.made_records import detection_record


def there(tator_id: int, name: str | None, *, md5: str | None = None, kind: str = "image") -> TatorEntry:
    return TatorEntry(tator_id, 5, kind, name, md5, None, None, None, None)  # type: ignore[arg-type]


def here(
    media_id: int, path: str, *, md5: str | None = None, imported: str | None = None, kind: str = "image"
) -> LocalEntry:
    summed = TatorMd5(md5, imported or md5) if md5 else None
    return LocalEntry(media_id, path, kind, summed)  # type: ignore[arg-type]


def match(files: list[LocalEntry], media: Iterable[TatorEntry], by: str) -> dict[int, MatchRecord]:
    with Matching(by) as matching:
        matching.add_files(files)
        matching.add_media(media)
        return {one.media_id: one for _, one in matching.records()}


def by_name(files: list[LocalEntry], *media: TatorEntry) -> dict[int, int | str]:
    return {number: one.tator_id or one.state for number, one in match(files, media, "name").items()}


@pytest.mark.parametrize(
    ("files", "media", "found"),
    [
        ([here(1, "a.jpg")], [there(9, "a.jpg")], {1: 9}),
        ([here(1, "cam/a.jpg")], [there(9, "a.jpg")], {1: 9}),
        ([here(1, "cam/a.jpg")], [there(8, "a.jpg"), there(9, "cam/a.jpg")], {1: 9}),
        ([here(1, "a.jpg")], [there(9, "A.jpg"), there(8, None), there(7, "b/a.jpg")], {1: "missing"}),
        ([here(1, "a.jpg")], [there(9, "a.jpg"), there(8, "a.jpg")], {1: "failed"}),
        ([here(1, "b/a.jpg"), here(2, "c/a.jpg")], [there(9, "a.jpg")], {1: "failed", 2: "failed"}),
        ([here(1, "b/a.jpg"), here(2, "c/a.jpg")], [there(9, "a.jpg"), there(8, "b/a.jpg")], {1: 8, 2: 9}),
        ([here(1, "a", kind="video")], [there(9, "a"), there(8, "a", kind="video")], {1: 8}),
        ([here(1, unicodedata.normalize("NFD", "é.jpg"))], [there(9, "é.jpg")], {1: 9}),
        ([], [there(9, "a.jpg")], {}),
        ([here(1, "a.jpg")], [], {1: "missing"}),
    ],
)
def test_by_name(files, media, found):
    assert by_name(files, *media) == found


def test_reasons():
    [one] = match([here(1, "a.jpg")], [there(number, "a.jpg") for number in range(1, 8)], "name").values()
    assert one.reason == ("7 media in Tator have its name (1, 2, 3, 4, 5, ...); name the right ones in tator.media_ids")
    found = match([here(1, "b/a.jpg"), here(2, "c/a\n.jpg"), here(3, "c/a.jpg")], [there(9, "a.jpg")], "name")
    assert found[1].reason == "2 files match media 9 in Tator by their name (b/a.jpg, c/a.jpg)"
    assert found[2].reason == "no image in Tator has its name"


def test_by_the_md5_of_an_imported_media():
    media = [there(7, "x", md5="a" * 32), there(8, "y", md5="c" * 32), there(9, "z", md5="c" * 32)]
    media += [there(number, "w", md5="e" * 32) for number in (10, 11)]
    files = [
        here(1, "a.jpg", md5="0a" * 16, imported="a" * 32),
        here(2, "b.jpg", md5="c" * 32, imported="d" * 32),
        here(3, "c.jpg", md5="0e" * 16, imported="e" * 32),
        here(4, "d.jpg", md5="a" * 32, imported="a" * 32),
    ]
    reasons = {number: one.reason for number, one in match(files, media, "md5").items()}
    assert reasons[1] == reasons[4] == "2 files match media 7 in Tator by their md5 (a.jpg, d.jpg)"
    assert "2 media in Tator have its md5 (8, 9)" in str(reasons[2])
    assert "2 media in Tator have its md5 (10, 11)" in str(reasons[3])
    [alone] = match(files[:1], media, "md5").values()
    assert (alone.state, alone.by, alone.tator_id) == ("matched", "md5", 7)


def test_by_md5_with_any_names():
    media = [there(7, "x", md5="a" * 32), there(8, "y", md5="0" * 32), there(9, "a.jpg", md5="b" * 32)]
    files = [
        here(1, "a.jpg", md5="a" * 32),
        here(2, "b.jpg", md5="0" * 32),  # Tator's value if the md5 is unknown
        here(3, "c.jpg", md5="b" * 32),
        here(4, "d.jpg", md5="b" * 32),
        LocalEntry(5, "e.jpg", "image", None, "its file is gone"),
    ]
    found = match(files, media, "md5")
    assert {number: one.tator_id or one.state for number, one in found.items()} == {
        1: 7,
        2: "missing",
        3: "failed",
        4: "failed",
        5: "failed",
    }
    assert found[5].reason == "its file is gone"


def test_records_in_both_orders_and_names_with_lone_surrogates():
    with Matching("name") as matching:
        matching.add_files([here(7, "z\\xff.jpg"), here(3, "a.jpg")])
        matching.add_media([there(8, "\udcff"), there(9, "a.jpg")])
        assert [(path, one.tator_id) for path, one in matching.records()] == [("z\\xff.jpg", None), ("a.jpg", 9)]
        assert [one.media_id for _, one in matching.records("media_id")] == [3, 7]


def test_many_files_need_little_memory():
    count = 3_000
    tracemalloc.start()
    try:
        with Matching("name") as matching:
            matching.add_files(here(number, f"cam/{number}.jpg") for number in range(count))
            matching.add_media(there(number, f"{number}.jpg") for number in range(count))
            assert sum(one.tator_id == one.media_id for _, one in matching.records()) == count
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


VIDEO = MatchRecord(
    media_id=1, state="matched", reason=None, tator_id=9, width=640, height=360, fps=25.0, num_frames=100, kind="video"
)
EVEN = Numbering(
    file="archival",
    file_reason="it is a file of the folder",
    replaces_original=False,
    rate=25.0,
    numbers=100,
    repeated=0,
    left_out=0,
    turned=0,
    disagreements=[],
)


def found_in(numbering: Numbering | None = EVEN, *, kind: str = "video", size=(640, 360)) -> DetectionRecord:
    record = replace(detection_record(), kind=kind, width=size[0], height=size[1], numbering=numbering)
    return replace(record, frames=replace(record.frames, read_to_end=True))


@pytest.mark.parametrize(
    ("tator", "file", "reason"),
    [
        ({}, {}, None),
        ({"num_frames": 103}, {}, None),  # Tator's transcoder appends black pictures
        ({"num_frames": 98}, {}, None),
        ({"num_frames": 97}, {}, "97 frames, the file has 100"),
        ({"num_frames": 104}, {}, "104 frames"),
        ({"fps": 25.02}, {}, None),
        ({"fps": 25.03}, {}, "shows 25.0300 pictures a second, the file 25.0000"),
        ({"fps": 25.02}, {"repeated": 1, "numbers": 10_000}, "pictures a second"),
        ({"fps": None, "num_frames": None, "width": None}, {}, None),
        ({"width": 1280, "height": 720}, {}, None),
        ({"width": 360, "height": 640}, {}, "360 x 640 pixels"),
        ({}, {"turned": None}, "has a rotation"),
        ({"kind": "image"}, {}, "in Tator it is of the kind image, here of the kind video"),
    ],
)
def test_videos_with_other_frames(tator, file, reason):
    numbering = replace(EVEN, **file)
    match = replace(VIDEO, **tator, **({"num_frames": numbering.numbers} if "numbers" in file else {}))
    why = difference(match, found_in(numbering))
    assert why is None if reason is None else reason in (why or "")


def test_a_record_without_numbering_and_the_shapes_of_pictures():
    assert "how its frames are numbered" in (difference(VIDEO, found_in(None)) or "")
    picture = replace(VIDEO, kind="image", fps=None, num_frames=None)
    assert difference(picture, found_in(None, kind="image")) is None
    # Tator's record does not show whether an EXIF tag rotates the picture; browsers and the workflow rotate it.
    assert difference(picture, found_in(None, kind="image", size=(360, 640))) is None
    assert "640 x 360 pixels" in (difference(picture, found_in(None, kind="image", size=(640, 480))) or "")
