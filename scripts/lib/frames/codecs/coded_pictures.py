"""Read properties of coded pictures from their headers, for all codecs."""

from collections.abc import Iterable
from typing import NamedTuple

from scripts.lib.frames.codecs.av1_pictures import Av1Pictures
from scripts.lib.frames.codecs.fields import SliceHeaders
from scripts.lib.frames.codecs.hevc_headers import HevcHeaders
from scripts.lib.frames.codecs.leading import LeadingPictures
from scripts.lib.frames.codecs.mpeg_pictures import CODECS, GroupPlace, MpegPictures
from scripts.lib.frames.codecs.picture_order import PictureOrder, PlaceInOrder


class PacketFacts(NamedTuple):
    """Properties of a packet that are known without decoding it.

    Attributes:
        second: whether the packet is a second field, which is decoded into the first field's frame.
        missing: number of missing reference pictures before the packet.
        restarts: whether picture numbers restart without a key frame: it was lost, or the encoder reset its reference
            pictures.
        unseen: number of pictures found to be missing by their places in display order.
        place: the picture's place in display order; None if its header has none.
        key: whether the packet is a key frame. The first key frame is the packet from which on pictures are complete;
            containers also mark other packets.
    """

    second: bool
    missing: int
    restarts: bool
    unseen: int
    place: PlaceInOrder | None
    key: bool


class CodedPictures:
    """Reads the packets of a stream in order."""

    def __init__(self, codec: str, extradata: bytes, first_packets: Iterable[bytes]) -> None:
        """Prepare for a stream.

        Args:
            codec: FFmpeg's name of the codec.
            extradata: the stream's extradata.
            first_packets: the stream's first packets, for codecs whose encoders number pictures in different ways.
        """
        self._codec, self._extradata = codec, extradata
        self._mpeg = MpegPictures(first_packets) if codec in CODECS else None
        self._leading = LeadingPictures(codec, extradata)
        self._started = False
        self.restart()

    def restart(self) -> None:
        """Treat the following packets as pictures from another place in the file."""
        self._av1 = Av1Pictures(self._extradata) if self._codec == "av1" else None
        self._headers = SliceHeaders(self._codec, self._extradata)
        self._hevc = HevcHeaders(self._extradata) if self._codec == "hevc" else None
        self._order = PictureOrder()

    def set_extradata(self, extradata: bytes) -> None:
        """Replace the stream's extradata: in MP4 and FLV the following packets may have others."""
        self._extradata = extradata
        self._headers.set_extradata(extradata)
        if self._hevc is not None:
            self._hevc.set_extradata(extradata)

    def trust_keys(self) -> None:
        """Treat the first packet as a key frame if the container marks it, for a part of a video."""
        self._started = True

    @property
    def reorders(self) -> bool:
        """Whether pictures of MPEG-1 and MPEG-2 are shown in another order than they are stored."""
        return self._mpeg is not None and self._mpeg.reorders

    def take(self, coded: bytes, delay: int, *, key: bool, has_frames: bool = False) -> PacketFacts:
        """Read the next packet.

        Args:
            coded: the packet's content.
            delay: number of pictures by which the decoder delays its output.
            key: whether the container marks the packet as a key frame.
            has_frames: whether the decoder has returned a frame. Until then, and before the first key frame, no
                pictures count as missing: the packets refer to pictures before the stream's beginning.
        """
        second = self._headers.is_second(coded, key=key)
        missing, restarts = self._headers.missing, self._headers.restarts
        if self._av1 is not None:
            missing, restarts = self._av1.missing_before(coded), False
        place = self._hevc.place(coded) if self._hevc is not None else self._headers.place
        before_key = not self._started
        if before_key:
            key = self._headers.begins(coded, key=key)
        if before_key and key and not has_frames:
            self._headers.forget_gaps()
            self._order = PictureOrder()
        unseen = self._order.missing_before(place, delay)
        self._started = key or has_frames or not before_key
        if before_key and not has_frames:
            return PacketFacts(second, 0, restarts=False, unseen=0, place=place, key=key)
        return PacketFacts(second, missing, restarts, unseen, place, key)

    def place(self, coded: bytes, facts: PacketFacts, *, key: bool) -> tuple[bool, GroupPlace | None]:
        """Return whether a packet's picture is a leading picture (leading.py), and its place in its group.

        Args:
            coded: a packet that has a picture, and is not a second field.
            facts: the result of take() for the packet.
            key: whether the packet is a key frame.
        """
        leads = self._leading.includes(coded, facts.place, key=key)
        return leads, self._mpeg.place(coded) if self._mpeg is not None else None

    def end(self) -> int:
        """Return how many of the last pictures are missing by their places in display order."""
        return self._order.end()
