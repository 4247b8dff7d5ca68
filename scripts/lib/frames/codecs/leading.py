"""Pictures that are stored behind a file's first key frame but shown before it, by their headers.

They need pictures from before that key frame. Where a recording was cut there, these are gone; and programs that cut
without decoding leave out the times of such pictures, or move them behind the key frame's.
"""

from scripts.lib.frames.codecs import mpeg_pictures
from scripts.lib.frames.codecs.mpeg4_headers import Mpeg4Headers
from scripts.lib.frames.codecs.picture_order import PlaceInOrder


class LeadingPictures:
    """Looks at a stream's pictures one after another, up to the first that is shown after the first key frame."""

    def __init__(self, codec: str, description: bytes) -> None:
        """Begin a stream.

        Args:
            codec: FFmpeg's name of the codec.
            description: its extradata.
        """
        self._counts = codec in mpeg_pictures.CODECS
        self._mpeg4 = Mpeg4Headers(description) if codec == "mpeg4" else None
        self._key_seen = self._over = False
        self._key_place: tuple[int, int] | None = None  # and how many places there are before they restart

    def includes(self, coded: bytes, place: PlaceInOrder | None, *, key: bool) -> bool:
        """Return whether a picture is one of them.

        Args:
            coded: its packet.
            place: its place in the order of showing, where that was read; None elsewhere.
            key: whether it is a key frame.
        """
        if self._over:
            return False
        own = self._mpeg4.time(coded) if self._mpeg4 is not None else place and (place.low, 1 << place.bits)
        if not self._key_seen:
            self._key_seen, self._key_place = key, own
            self._over = key and self._counts and mpeg_pictures.is_closed(coded)
            return False
        leads = mpeg_pictures.is_b(coded) if self._counts else self._is_before_key(own)
        self._over = not leads
        return leads

    def _is_before_key(self, own: tuple[int, int] | None) -> bool:
        if own is None or self._key_place is None:
            return False
        place, span = own
        return (place - self._key_place[0]) % span > span // 2
