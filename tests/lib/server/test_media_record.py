"""Records of media in Tator with any values: reading them gives a media or a fault."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.errors import MediaFault
from scripts.lib.server.media_record import ROLES, TatorMedia, tator_media

FILE = {"path": "1/1/1/a.mp4", "size": 10, "resolution": [360, 640], "codec": "h264"}
SOUND = {
    "id": 1, "type": 2, "name": "a.mp4", "width": 640, "height": 360, "fps": 25.0, "num_frames": 60, "md5": "ab",
    "archive_state": "live", "attributes": {"a": "b"}, "media_files": {"archival": [FILE]},
}  # fmt: skip

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.just("x" * 20_000),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from([*SOUND, *FILE]), value=anything, gone=st.booleans())
def test_any_value_gives_a_media_or_a_fault(field: str, value: object, gone: bool) -> None:
    file = {**FILE, **({field: value} if field in FILE else {})}
    media = {**SOUND, "media_files": {"archival": [file]}, **({field: value} if field in SOUND else {})}
    if gone:
        (file if field in FILE else media).pop(field)
    found = outcome(media)
    if isinstance(found, str):
        assert "Tator's record of it cannot be used" in found
        assert len(found) < 500
    else:
        assert isinstance(found.media_id, int)
        assert found.fps is None or math.isfinite(found.fps)
        for each in (each for role in ROLES for each in found.files[role]):
            assert "\0" not in each.path
            assert isinstance(each.width, int)
            assert each.size is None or each.size >= 0


def outcome(media: object) -> TatorMedia | str:
    """Return the media, or the reason of its fault."""
    try:
        return tator_media(media)
    except MediaFault as fault:
        return fault.reason


@given(anything)
def test_any_record_that_is_no_object_gives_a_fault(value: object) -> None:
    with pytest.raises(MediaFault):
        tator_media(value)
