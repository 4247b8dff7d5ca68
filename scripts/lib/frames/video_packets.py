"""Read the packets of a video without decoding them, and find damage in them."""

import itertools
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import av.stream
import av.video.stream

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg, messages
from scripts.lib.frames.file_formats import avi_index, edit_list, encryption, file_structure, unsupported
from scripts.lib.frames.packet_checks import JOINT, PacketChecks
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import FrameSource, check_disk, check_size, log
from scripts.lib.frames.timeline import Timeline, nearest, rounded_rate

if TYPE_CHECKING:
    from scripts.lib.frames.ffmpeg import Packet

_CLOCK_MAY_BREAK = 0x0200  # AVFMT_TS_DISCONT: the format's clock may restart in mid-stream
# Formats whose demuxer has an index of all samples before the first packet is read.
_INDEXED = {"mov", "avi"}
# After this many failures in a row, the demuxer will not return any more packets.
_DEMUX_TRIES = 100
_FIRST_PACKETS = 100
# Raw Motion JPEG begins like a JPEG. Photos may contain a second, smaller picture (MPO), or those of several lenses.
_JPEG, _LEAST_PICTURES = "jpeg_pipe", 5
CLOSE_SECONDS = 0.5
_JOINED_OGG = (
    "Ogg files of several streams, such as pictures and sound, were joined: FFmpeg, and so Tator, reads the first; "
    "join them with ffmpeg -f concat, or without their sound"
)


class VideoPackets(FrameSource):
    """The packets of a file's video stream."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lock = threading.Lock()  # prevents closing the file while it is read
        self._closed = False
        self._packets = self._discarded = 0  # how many were read; and those of them that are not to be shown
        with messages.Captured() as captured:  # opening a file reads its first seconds
            self._container = ffmpeg.open_media(path)
        try:
            self._stream = self._choose_stream(captured)
            self._codec = self._stream.codec_context.codec.canonical_name  # not the decoder's name
            self._decoder = ffmpeg.decoder(self._stream.codec_context)
        except BaseException:
            self._container.close()
            raise
        self._checks = PacketChecks(path, self._container, self._stream, self.summary, captured)
        self.jumps = edit_list.jumps(path, self._container, self._stream)  # where an edit list continues

    @property
    def stream(self) -> av.video.stream.VideoStream:
        """The file's video stream."""
        return self._stream

    @property
    def codec(self) -> str:
        """FFmpeg's name of the video's codec."""
        return self._codec

    @property
    def tag(self) -> str | None:
        """The stream's tag `rotate`, by which Tator's transcoder turns pictures."""
        return self._stream.metadata.get("rotate")

    def _choose_stream(self, captured: list[messages.Message]) -> av.video.stream.VideoStream:
        """Return the first video stream that is not an attached picture.

        Args:
            captured: FFmpeg's messages while the file was opened.
        """
        name = self._container.format.name
        if ffmpeg.is_still(self._container) and name not in ffmpeg.ANIMATIONS and not self._holds_pictures():
            raise MediaFault("unsupported", f"expected a video, but it is a picture ({_format(self._container)})")
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            unsupported.refuse_hidden_av1(self._container)
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "no stream"
            raise MediaFault("unreadable", f"it has no video stream, only {kinds}")
        stream = streams[0]
        # Without a decoder there is no context, although PyAV's annotations say that there always is.
        if getattr(stream, "codec_context", None) is None:
            raise MediaFault("unsupported", "FFmpeg has no decoder for its video stream")
        encryption.refuse_encrypted(self._container, stream, captured)
        unsupported.refuse_unknown_pixels(stream)
        self._pixel_bytes = ffmpeg.frame_pixel_bytes(stream.codec_context)
        width, height = stream.codec_context.width, stream.codec_context.height
        check_size(*((width, height) if width else messages.too_large(captured) or (0, 0)), self._pixel_bytes)
        return stream

    def _holds_pictures(self) -> bool:
        """Return whether a file that begins like a JPEG is a raw stream of Motion JPEG."""
        if self._container.format.name != _JPEG:
            return False
        with ffmpeg.open_media(self._path) as container, messages.Captured():
            sizes = [packet.size for packet in itertools.islice(container.demux(video=0), _LEAST_PICTURES)]
        return len(sizes) == _LEAST_PICTURES and all(sizes)

    @property
    def is_avi(self) -> bool:
        """Whether the file is an AVI, whose pictures have decoding times only."""
        return self._container.format.name == "avi"

    @property
    def average_rate(self) -> Fraction | None:
        """Pictures per second according to the file; None if it does not declare it."""
        # In raw DV, the average of FFmpeg 8 is one divided by its time unit.
        stream = self._stream
        return stream.base_rate if self._container.format.name == "dv" else stream.average_rate

    @property
    def last_packet(self) -> int:
        """The index of the last packet that was read, from 0; -1 before the first."""
        return self._packets - 1

    def timeline(self, shown: Shown) -> Timeline | None:
        """Return the timeline that numbers pictures as Tator does; None if neither Tator nor the file has a rate.

        Args:
            shown: how Tator shows the video.
        """
        rate = shown.rate or (rounded_rate(self.average_rate) if self.average_rate else None)
        unit = self._stream.time_base
        if not rate or not unit:
            return None
        start = nearest(Fraction(self._container.start_time or 0, av.time_base) / unit)
        return Timeline(rate, unit, start=start, breaks=bool(self._container.format.flags & _CLOCK_MAY_BREAK))

    def shown_until(self, time: int | None) -> int | None:
        """Return when the last picture, shown at `time`, ends; None if all versions of FFmpeg agree on that."""
        return edit_list.last_picture_until(self._path, self._container, self._stream, time)

    def _period(self) -> Fraction | None:
        """Return how long a frame is shown, in the stream's time unit; None if it is unknown."""
        rate, base = self._stream.base_rate, self._stream.time_base
        return 1 / (rate * base) if rate and base else None

    def packets(self) -> Iterator["Packet"]:
        """Yield the stream's packets; after an error, try again.

        After destroyed fragments FFmpeg may read the file from its start again, endlessly: then reading stops.
        """
        failures, furthest = 0, -1
        packets = ffmpeg.demux(self._container, self._stream)
        while failures < _DEMUX_TRIES:
            try:
                with self._lock, messages.Captured() as captured:
                    packet = None if self._closed else next(packets, None)
            except av.error.FFmpegError as error:
                check_disk(error)
                failures += 1
                if self._container.format.name == "ogg" and isinstance(error, av.error.PatchWelcomeError):
                    self.summary.add_error(f"after packet {self._packets - 1}", _JOINED_OGG)
                    return
                self.summary.add_error(f"after packet {self._packets - 1}", ffmpeg.reason(error))
                packets = ffmpeg.demux(self._container, self._stream)
                continue
            if packet is None:
                self._checks.at_end(self._packets - 1)
                return
            self._checks.messages += captured
            # An empty packet would signal the stream's end to the decoder.
            if packet.size:
                if failures and packet.pos is not None and packet.pos <= furthest:
                    self._checks.at_end(self._packets - 1)
                    return
                failures, furthest = 0, max(furthest, packet.pos or 0)
                self._packets += 1
                self._discarded += packet.is_discard
                if extradata := self._checks.check(packet, self._packets - 1):
                    self._describe(extradata)
                yield packet

    def _check_last_packets(self) -> None:
        """Finish the checks that need the next few packets; damage in these packets is not recorded."""
        packets = ffmpeg.demux(self._container, self._stream)
        for count in range(JOINT + 1):
            try:
                with self._lock:
                    packet = None if self._closed else next(packets, None)
            except av.error.FFmpegError:
                break
            if packet is None or not packet.size:
                break
            if not self._checks.check_after_last(packet, self._packets - 1, first=count == 0):
                return
        self._checks.report_jump()

    def _describe(self, extradata: bytes) -> None:
        """Replace the stream's extradata for the packet that was read last, and the following ones."""

    def _cut(self) -> str | None:
        """Return a sentence if the file contains less than its container declares, else None."""
        names = set(self._container.format.name.split(","))
        if names & _INDEXED:
            # FFmpeg removes samples that edit lists leave out from its index.
            expected = sum(1 for entry in self._stream.index_entries or () if entry.size)
            if self.is_avi:
                expected = max(expected, avi_index.listed_pictures(self._path, self._stream.index))
            if self._packets < expected:
                return f"the file ends or breaks off after {self._packets} of {expected} coded frames"
        if "mxf" in names and self._packets < (self._stream.duration or 0):  # a number of pictures
            return f"the file ends or breaks off after {self._packets} of {self._stream.duration} coded frames"
        if what := self._checks.cut():
            return what
        name, shown = self._container.format.name, self._packets - self._discarded
        return file_structure.contradiction(self._path, name, self._stream.id, shown)

    def _first_packets(self) -> list[bytes]:
        """Return the content of the stream's first packets, as far as they can be read."""
        found: list[bytes] = []
        with ffmpeg.open_media(self._path) as container, messages.Captured():
            packets = ffmpeg.demux(container, container.streams[self._stream.index])
            try:
                found.extend(bytes(packet) for packet in itertools.islice(packets, _FIRST_PACKETS))
            except av.error.FFmpegError as error:
                log.debug("its first packets: %s", ffmpeg.reason(error))  # decoding reports it
        return found

    def _absent(self) -> int:
        """Return how many of the pictures that the container declares are not in the file; 0 if unknown."""
        is_mxf = self._container.format.name == "mxf"  # its duration is in pictures
        declared = (self._stream.duration if is_mxf else self._stream.frames) or 0
        if not declared:
            return 0
        with ffmpeg.open_media(self._path) as container:
            stream = container.streams[self._stream.index]
            present = _empty_chunks(stream) if self.is_avi else 0
            try:
                for packet in ffmpeg.demux(container, stream):
                    present += packet.dts is not None or packet.size > 0
            except av.error.FFmpegError as error:
                log.debug("counting its packets: %s", ffmpeg.reason(error))  # decoding reports it
        return max(0, declared - present)

    def close(self) -> None:
        """Close the file, unless another thread stays in FFmpeg for too long; that thread stops after its packet."""
        self._closed = True
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            self._container.close()
            self._lock.release()


def _empty_chunks(stream: av.stream.Stream) -> int:
    """Return how many entries of an AVI's index have no picture; writers fill gaps in time with such entries."""
    entries = stream.index_entries or ()
    last = max((entry.timestamp for entry in entries), default=-1)
    return max(0, last + 1 - sum(1 for entry in entries if entry.size))


def _format(container: av.container.InputContainer) -> str:
    codecs = [stream.codec_context.name for stream in container.streams.video if stream.codec_context]
    return codecs[0] if codecs else container.format.name
