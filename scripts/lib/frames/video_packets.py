"""Read the packets of a video without decoding them, and find damage in them."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import av.stream
import av.video.stream

from scripts.lib.frames import ffmpeg, messages, packet_counts
from scripts.lib.frames.file_formats import edit_list, file_structure
from scripts.lib.frames.packet_checks import JOINT, PacketChecks
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import FrameSource, check_disk
from scripts.lib.frames.stream_choice import choose_stream
from scripts.lib.frames.timeline import Timeline, nearest, rounded_rate

if TYPE_CHECKING:
    from scripts.lib.frames.ffmpeg import Packet

_CLOCK_MAY_BREAK = 0x0200  # AVFMT_TS_DISCONT: the format's clock may restart in mid-stream
# After this many failures in a row, the demuxer will not return any more packets.
_DEMUX_TRIES = 100
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
            self._stream = choose_stream(path, self._container, captured)
            self._pixel_bytes = ffmpeg.frame_pixel_bytes(self._stream.codec_context)
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
                    self._set_extradata(extradata)
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

    def _set_extradata(self, extradata: bytes) -> None:
        """Replace the stream's extradata for the packet that was read last, and the following ones."""

    def _cut(self) -> str | None:
        """Return a sentence if the file contains less than its container declares, else None."""
        name = self._container.format.name
        declared = packet_counts.declared(self._path, name, self._stream)
        if self._packets < declared:
            return f"the file ends or breaks off after {self._packets} of {declared} coded frames"
        shown = self._packets - self._discarded
        return self._checks.cut() or file_structure.contradiction(self._path, name, self._stream.id, shown)

    def _absent(self) -> int:
        """Return how many of the pictures that the container declares are not in the file; 0 if unknown."""
        return packet_counts.count_absent(self._path, self._container.format.name, self._stream)

    def close(self) -> None:
        """Close the file, unless another thread stays in FFmpeg for too long; that thread stops after its packet."""
        self._closed = True
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            self._container.close()
            self._lock.release()
