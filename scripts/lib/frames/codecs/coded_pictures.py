"""What a stream's coded pictures say of themselves by their headers, whatever the codec."""

from collections.abc import Iterable
from typing import NamedTuple

from scripts.lib.frames.codecs.av1_pictures import Av1Pictures
from scripts.lib.frames.codecs.fields import SliceHeaders
from scripts.lib.frames.codecs.hevc_headers import HevcHeaders
from scripts.lib.frames.codecs.leading import LeadingPictures
from scripts.lib.frames.codecs.mpeg_pictures import CODECS, GroupPlace, MpegPictures
from scripts.lib.frames.codecs.picture_order import PictureOrder, PlaceInOrder


class PacketFacts(NamedTuple):
    """What is known of a packet without decoding it.

    Attributes:
        second: whether it is a second field, which is decoded into the frame of the first.
        missing: how many pictures that others refer to are missing before it.
        restarts: whether its numbers restart without a key frame: that was lost, or the encoder emptied its
            memory.
        unseen: how many pictures are missing by their places in the order of showing, as far as is known by now.
        place: its own place there; None if its header does not tell.
        key: whether it is a key frame. The first one is that from which on pictures are whole, which containers say of
            others too.
    """

    second: bool
    missing: int
    restarts: bool
    unseen: int
    place: PlaceInOrder | None
    key: bool


class CodedPictures:
    """Takes the packets of a stream one after another."""

    def __init__(self, codec: str, description: bytes, first_packets: Iterable[bytes]) -> None:
        """Begin a stream.

        Args:
            codec: FFmpeg's name of the codec.
            description: its extradata.
            first_packets: the first ones, read for codecs whose encoders count in different ways.
        """
        self._codec, self._description = codec, description
        self._mpeg = MpegPictures(first_packets) if codec in CODECS else None
        self._leading = LeadingPictures(codec, description)
        self._begun = False
        self.restart()

    def restart(self) -> None:
        """Take what follows for pictures from elsewhere in the file."""
        self._av1 = Av1Pictures(self._description) if self._codec == "av1" else None
        self._headers = SliceHeaders(self._codec, self._description)
        self._hevc = HevcHeaders(self._description) if self._codec == "hevc" else None
        self._order = PictureOrder()

    def trust_keys(self) -> None:
        """Take the first packet for a key frame if the container calls it one, as where a part of a video begins."""
        self._begun = True

    @property
    def reorders(self) -> bool:
        """Whether pictures of MPEG-1 and MPEG-2 are shown in another order than they are stored."""
        return self._mpeg is not None and self._mpeg.reorders

    def take(self, coded: bytes, delay: int, *, key: bool, shown: bool = False) -> PacketFacts:
        """Read the next packet.

        Args:
            coded: what it holds.
            delay: how many pictures the decoder holds back.
            key: whether the container calls it a key frame.
            shown: whether a picture came out of the decoder. Before, and before the first key frame, none is missing:
                they refer to what lies before the stream's beginning.
        """
        second = self._headers.is_second(coded, key=key)
        missing, restarts = self._headers.missing, self._headers.restarts
        if self._av1 is not None:
            missing, restarts = self._av1.missing_before(coded), False
        place = self._hevc.place(coded) if self._hevc is not None else self._headers.place
        first = not self._begun
        if first:
            key = self._headers.begins(coded, key=key)
        if first and key and not shown:
            self._headers.forget_gaps()
            self._order = PictureOrder()
        unseen = self._order.missing_before(place, delay)
        self._begun = key or shown or not first
        if first and not shown:
            return PacketFacts(second, 0, restarts=False, unseen=0, place=place, key=key)
        return PacketFacts(second, missing, restarts, unseen, place, key)

    def place(self, coded: bytes, facts: PacketFacts, *, key: bool) -> tuple[bool, GroupPlace | None]:
        """Return whether a packet's picture leads the first key frame (leading.py), and its place in its group.

        Args:
            coded: a packet with a picture of its own.
            facts: what take() returned.
            key: whether it is a key frame.
        """
        leads = self._leading.includes(coded, facts.place, key=key)
        return leads, self._mpeg.place(coded) if self._mpeg is not None else None

    def end(self) -> int:
        """Return how many are missing among the last pictures by their places in the order of showing."""
        return self._order.end()
