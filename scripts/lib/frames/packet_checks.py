"""Find damage in the packets of a video, and in those of its container, before they are decoded."""

from pathlib import Path
from typing import TYPE_CHECKING

import av.container
import av.video.stream

from scripts.lib.errors import MediaFault
from scripts.lib.frames import messages
from scripts.lib.frames.codecs import content
from scripts.lib.frames.file_formats import encryption, fixed_packets
from scripts.lib.frames.file_formats.transport_packets import TransportPackets
from scripts.lib.frames.file_formats.truncation import known_end
from scripts.lib.frames.source import Summary

if TYPE_CHECKING:
    from scripts.lib.frames.ffmpeg import Packet

# Where files were joined, the counter of MPEG-TS packets jumps, and a key frame follows within this many pictures.
JOINT = 3


class PacketChecks:
    """Checks a video's packets in order, and records what is damaged.

    Attributes:
        messages: FFmpeg's messages since the last check.
        fixed: the container's packets; None if they are not of a fixed size, or need no check.
    """

    def __init__(
        self,
        path: Path,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        summary: Summary,
        captured: list[messages.Message],
    ) -> None:
        """Prepare the checks.

        Args:
            path: the file.
            container: the open file.
            stream: its video stream.
            summary: where damage is recorded.
            captured: FFmpeg's messages while the file was opened.
        """
        name, context = container.format.name, stream.codec_context
        self.messages = captured
        self.fixed = fixed_packets.fixed_packets(path, name, stream.id)
        self._summary = summary
        self._unit = stream.time_base  # stored because PyAV creates it at each access
        self._end_of_container = known_end(path, name)
        self._jump: tuple[int, str] | None = None  # the packet at which the counter jumped: its index and place
        size = context.width, context.height
        self._holes = content.Holes(context.codec.canonical_name, context.extradata or b"", size)

    def check(self, packet: "Packet", index: int) -> bytes:
        """Record damage that a packet's bytes and flags, or the demuxer's messages, show.

        Args:
            packet: the packet.
            index: its number in the stream, from 0.

        Returns:
            The extradata that replaces the stream's from this packet on; empty for none.

        Raises:
            MediaFault: `unsupported`, the packet is encrypted.
        """
        # For speed, `where` is called only if there is something to record. Most packets have no side data, and
        # looking it up by name is slow.
        has_side_data = next(packet.iter_sidedata(), None) is not None
        if has_side_data and packet.has_sidedata("encryption_info"):
            raise MediaFault("unsupported", encryption.ENCRYPTED)
        if packet.pos is not None and self.fixed is not None:
            where = self.where(packet, index)
            self._check_container(packet.pos, where)
            self._check_missing_before(packet.pos, where)
        if what := messages.demuxer_damage(self.messages, self._end_of_container):
            self._summary.add_error(self.where(packet, index), what)
        self.messages = []
        if what := self._holes.find(bytes(packet), key=packet.is_keyframe):
            self._summary.add_error(self.where(packet, index), what)
        extradata = bytes(packet.get_sidedata("new_extradata")) if has_side_data else b""
        if extradata.startswith(bytes(16)):
            # FLV's demuxer mistakes a picture whose header was lost for extradata.
            what = "a description of the video in zeros: that part of the file was lost"
            self._summary.add_error(self.where(packet, index), what)
            extradata = b""
        # The counter of transport packets also jumps where files were joined, without a loss.
        if self._jump is not None:
            if packet.is_keyframe:
                self._jump = None
            elif index + 1 - self._jump[0] > JOINT:
                self.report_jump()
        if packet.is_corrupt:
            self._jump = self._jump or (index + 1, self.where(packet, index))
        return extradata

    def check_after_last(self, packet: "Packet", index: int, *, first: bool) -> bool:
        """Look at a packet after the last one that is wanted, which shows whether that one is whole.

        Args:
            packet: the packet.
            index: the number of the last wanted packet.
            first: whether the packet is the first after that one.

        Returns:
            Whether the packet after this one is needed, too.
        """
        if first and packet.pos is not None:
            self._check_container(packet.pos, f"packet {index}")
        if packet.is_keyframe:
            self._jump = None
        return self._jump is not None

    def at_end(self, index: int) -> None:
        """Record damage that is known only after the last packet, which has this number."""
        where = f"after packet {index}"
        if what := messages.demuxer_damage(self.messages, self._end_of_container):
            self._summary.add_error(where, what)
        self._check_container(None, where)
        self._check_missing_before(None, "the end")
        if what := self._holes.at_end():
            self._summary.add_error(f"packet {index}", what)
        self.report_jump()

    def report_jump(self) -> None:
        """Record a jump of the counter that has no key frame after it, so is not caused by joined files."""
        if self._jump is not None:
            self._summary.add_error(self._jump[1], "the packet is incomplete or damaged")
            self._jump = None

    def refuse_encrypted(self) -> None:
        """Refuse a transport stream that is encrypted.

        Raises:
            MediaFault: `unsupported`.
        """
        if isinstance(self.fixed, TransportPackets) and self.fixed.mostly_encrypted():
            raise MediaFault("unsupported", encryption.ENCRYPTED)

    def cut(self) -> str | None:
        """Return a sentence if a transport stream breaks off or others follow that FFmpeg does not read; else None."""
        if not isinstance(self.fixed, TransportPackets):
            return None
        if missing := self.fixed.missing_bytes:
            return f"the file breaks off within a packet, which lacks {missing} bytes"
        return self.fixed.joined()

    def where(self, packet: "Packet", index: int) -> str:
        """Return the place of a packet, for messages.

        Args:
            packet: the packet.
            index: its number in the stream, from 0.
        """
        time = packet.pts if packet.pts is not None else packet.dts
        place = f"packet {index}"
        if time is None or self._unit is None:
            return place
        return f"{place} ({time * self._unit.numerator / self._unit.denominator:.3f} s)"

    def _check_container(self, place: int | None, where: str) -> None:
        """Record destroyed and encrypted packets of the container, which FFmpeg drops without an error.

        Args:
            place: offset in bytes up to which the file was read; None for its end.
            where: description of the stream's packet that ends there.
        """
        if self.fixed is None:
            return
        destroyed, encrypted, gaps, _ = self.fixed.check_up_to(place)
        if destroyed:
            what = "packet of the container is" if destroyed == 1 else "packets of the container are"
            self._summary.add_error(where, f"{destroyed} {what} destroyed: that part of the file was lost")
        if gaps:
            self._summary.add_error(where, "packets of the container are missing: that part of the file was lost")
        if encrypted:
            what = "transport packet is" if encrypted == 1 else "transport packets are"
            self._summary.add_error(where, f"{encrypted} {what} encrypted: pictures are missing")

    def _check_missing_before(self, place: int | None, where: str) -> None:
        """Record pictures missing before the one that begins in the packet at byte `place`; None for the file's end."""
        if self.fixed is not None and (missing := self.fixed.missing_before(place)):
            self._summary.add_error(where, messages.missing_before(missing))
