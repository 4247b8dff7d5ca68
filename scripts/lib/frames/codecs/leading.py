"""Find leading pictures by their headers: they are stored after a file's first key frame, but shown before it.

They refer to pictures before that key frame, which are missing if a recording was cut there. Programs that cut without
decoding leave out the times of leading pictures, or move them after the key frame's.
"""

from scripts.lib.frames.codecs import mpeg_pictures
from scripts.lib.frames.codecs.mpeg4_headers import Mpeg4Headers
from scripts.lib.frames.codecs.picture_order import PlaceInOrder


class LeadingPictures:
    """Reads a stream's pictures in order, up to the first one that is shown after the first key frame."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        """Prepare for a stream.

        Args:
            codec: FFmpeg's name of the codec.
            extradata: the stream's extradata.
        """
        self._is_mpeg = codec in mpeg_pictures.CODECS
        self._mpeg4 = Mpeg4Headers(extradata) if codec == "mpeg4" else None
        self._key_seen = self._ended = False
        self._key_place: tuple[int, int] | None = None  # and the number of places after which they restart

    def includes(self, coded: bytes, place: PlaceInOrder | None, *, key: bool) -> bool:
        """Return whether a picture is a leading picture.

        Args:
            coded: the picture's packet.
            place: the picture's place in display order; None if it was not read.
            key: whether the picture is a key frame.
        """
        if self._ended:
            return False
        numbered = self._mpeg4.time(coded) if self._mpeg4 is not None else place and (place.low, 1 << place.bits)
        if not self._key_seen:
            self._key_seen, self._key_place = key, numbered
            self._ended = key and self._is_mpeg and mpeg_pictures.is_closed(coded)
            return False
        leads = mpeg_pictures.is_b(coded) if self._is_mpeg else self._is_before_key(numbered)
        self._ended = not leads
        return leads

    def _is_before_key(self, numbered: tuple[int, int] | None) -> bool:
        if numbered is None or self._key_place is None:
            return False
        place, span = numbered
        return (place - self._key_place[0]) % span > span // 2
