"""Frames of a video, packet by packet."""

import logging
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import av.packet
import av.stream
import av.video.frame
import av.video.reformatter
import av.video.stream
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames import content, encryption, ffmpeg, fixed_packets, messages
from scripts.lib.frames.completeness import Coded, Completeness
from scripts.lib.frames.fields import FieldPairs
from scripts.lib.frames.rotation import Matrix, display_matrix, upright
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import ALL_FRAMES, FrameSource, Picture, check_size, most_pixels
from scripts.lib.frames.timeline import Timeline, nearest, rounded_rate
from scripts.lib.frames.truncation import known_end, missing_bytes

if TYPE_CHECKING:
    Packet = av.packet.Packet[av.video.stream.VideoStream]  # generic to type checkers only

log = logging.getLogger(__name__)

# Formats whose demuxer knows every sample before the first packet is read.
_INDEXED = {"mov", "avi"}
# A demuxer that fails this often in a row gives nothing more.
_DEMUX_TRIES = 100
_CLOSE_SECONDS = 0.5
# Where files are joined, the counter of MPEG-TS packets jumps, and a key frame follows within so many pictures.
_JOINT = 3
_CLOCK_MAY_BREAK = 0x0200  # AVFMT_TS_DISCONT: the format's clock may start anew in mid-stream


class VideoFrames(FrameSource):
    """The frames of a file's video stream."""

    def __init__(self, path: Path, wanted: range = ALL_FRAMES) -> None:
        super().__init__()
        self._path = path
        self._wanted = wanted
        self._lock = threading.Lock()  # a file must not be closed under the decoder
        self._closed = False
        self._converter = av.video.reformatter.VideoReformatter()  # kept: making one takes as long as using it
        self._packets = 0
        self._rotation: int | None = None
        self._matrix: Matrix | None = None
        with messages.captured() as self._said:  # opening a file reads its first seconds
            self._container = ffmpeg.open_container(path)
        try:
            self._stream = self._choose_stream()
        except BaseException:
            self._container.close()
            raise
        self._end_of_container = known_end(path, self._container.format.name)
        self._jump: tuple[int, str] | None = None  # a packet behind which the counter jumped, and where
        context = self._stream.codec_context
        self._completeness = Completeness(self._period(), reorders=bool(context.has_b_frames))
        self._fields = FieldPairs(context.name, context.extradata or b"")
        context.copy_opaque = True  # each frame brings the packet that it came from
        # Slice threads switch FFmpeg's error concealment off, and with it the flags on damaged frames.
        context.thread_type = "FRAME"
        context.thread_count = 1  # so that an error belongs to the packet that caused it
        context.options = {**context.options, "max_pixels": str(most_pixels(self._pixel_bytes))}
        self.summary.declared = self._stream.frames or None
        self.summary.expected = self._expected()
        self.summary.rate = float(self._stream.average_rate or 0)

    def _choose_stream(self) -> av.video.stream.VideoStream:
        """Return the first video stream that is not an attached picture."""
        if ffmpeg.is_still(self._container) and self._container.format.name not in ffmpeg.ANIMATIONS:
            raise MediaFault("unsupported", f"Tator calls it a video, but it is a picture ({_format(self._container)})")
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "no stream"
            raise MediaFault("unreadable", f"it has no video stream, only {kinds}")
        stream = streams[0]
        # Without a decoder there is no context, whatever PyAV's annotations say.
        if getattr(stream, "codec_context", None) is None:
            raise MediaFault("unsupported", "FFmpeg has no decoder for its video stream")
        encryption.refuse_encrypted(self._container, stream, self._said)
        self._pixel_bytes = ffmpeg.frame_bytes(stream.codec_context)
        width, height = stream.codec_context.width, stream.codec_context.height
        check_size(*((width, height) if width else messages.too_large(self._said) or (0, 0)), self._pixel_bytes)
        return stream

    def _period(self) -> Fraction | None:
        """Return how long a frame is shown, in the stream's time unit, where the stream says it."""
        rate, base = self._stream.base_rate, self._stream.time_base
        return 1 / (rate * base) if rate and base else None

    def _expected(self) -> int | None:
        """Return how many frames will probably be given out: as many as are declared, or as the duration holds."""
        frames, duration = self._stream.frames, self._container.duration
        if not frames and duration and self._stream.average_rate:
            frames = round(duration / av.time_base * self._stream.average_rate)
        if not frames:
            return None
        return len(range(self._wanted.start, min(self._wanted.stop, frames), self._wanted.step))

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        for frame in self._frames():
            self._check_frame(frame)
            used = self.summary.next_number in self._wanted
            # The first one tells the media's size, whether it is asked for or not.
            picture = self._upright(frame) if used or self.summary.decoded == 0 else None
            number = self.summary.add_frame(picture, used=used)
            if used and picture is not None:
                yield number, picture
            if number >= self._wanted[-1]:
                return  # the rest is not asked for
        self._end()

    def first(self) -> av.video.frame.VideoFrame | None:
        """Return the first frame as it is decoded, None where there is none; nothing else can be read then."""
        return next(self._frames(), None)

    def timeline(self, shown: Shown) -> Timeline | None:
        """Return what numbers the pictures as Tator shows them; None where the file has no rate: they are counted then.

        Args:
            shown: what Tator shows of the video.
        """
        rate = shown.rate or (rounded_rate(self._stream.average_rate) if self._stream.average_rate else None)
        unit = self._stream.time_base
        if not rate or not unit:
            return None
        start = nearest(Fraction(self._container.start_time or 0, av.time_base) / unit)
        return Timeline(rate, unit, start=start, breaks=bool(self._container.format.flags & _CLOCK_MAY_BREAK))

    @property
    def tag(self) -> str | None:
        """The stream's tag `rotate`, by which Tator's transcoder turns pictures."""
        return self._stream.metadata.get("rotate")

    def _check_frame(self, frame: av.video.frame.VideoFrame) -> None:
        """Refuse a frame that is too large, and record one that is damaged."""
        check_size(frame.width, frame.height, self._pixel_bytes)
        if frame.is_corrupt:
            self.summary.add_error(f"frame {self.summary.decoded}", "damaged, the decoder filled the gaps")

    def _end(self) -> None:
        """Judge what was read up to the file's end."""
        self.summary.read_to_end = True
        if lost := self._completeness.end():
            self.summary.add_missing(len(lost), lost[0].where)
        self.summary.cut = self._cut()
        if self.summary.decoded == 0:
            why = self.summary.damage or "its video stream is empty"
            raise MediaFault("unreadable", f"no frame can be decoded: {why}")

    def _look_at_packets(self) -> None:
        """Record packets of the container that are destroyed or encrypted, which FFmpeg drops without a word.

        Raises:
            MediaFault: `unsupported`: most are encrypted.
        """
        if what := fixed_packets.destroyed(self._path, self._container.format.name, self._stream.id):
            self.summary.add_error("the file", what)
        if self._container.format.name != "mpegts":
            return
        encrypted, packets = encryption.encrypted_packets(self._path, self._stream.id)
        if encrypted * 2 > packets:
            raise MediaFault("unsupported", encryption.ENCRYPTED)
        if encrypted:
            what = f"{encrypted} of {packets} transport packets are encrypted: their pictures are missing"
            self.summary.add_error("the file", what)

    def _frames(self) -> Iterator[av.video.frame.VideoFrame]:
        self._look_at_packets()
        codec = self._stream.codec_context.name
        for packet in self.packets():
            where = self._where(packet)
            coded = bytes(packet)
            second = self._fields.is_second(coded)  # which the decoder puts into the frame of the first
            if not (packet.is_discard or second or content.hidden(codec, coded)):
                packet.opaque = self._completeness.announce(
                    self._packets - 1, packet.pts, packet.dts, where, key=packet.is_keyframe
                )
            yield from filter(self._in_time, self._decode(packet, where))
        yield from filter(self._in_time, self._decode(None, f"the end, after packet {self._packets - 1}"))

    def _in_time(self, frame: av.video.frame.VideoFrame) -> bool:
        """Count what should have come before a frame and never did; return whether the frame is not too late itself."""
        coded = frame.opaque
        if not isinstance(coded, Coded):
            return True
        first = not self._completeness.started
        lost, gap, late = self._completeness.arrive(coded, damaged=self.summary.damaged or frame.is_corrupt)
        if first and self._completeness.skipped and (absent := self._absent()):
            # The file does not begin there: its first key frame was lost.
            self.summary.add_missing(self._completeness.skipped + absent, "the file's beginning")
            self._completeness.skipped = 0
        if late:
            self.summary.add_error(coded.where, "its picture comes after later ones: left out")
        elif lost or gap:
            self.summary.add_missing(len(lost) + gap, (lost[0] if lost else coded).where)
        self.summary.skipped = self._completeness.skipped
        return not late

    def _absent(self) -> int:
        """Return how many of the pictures that the container counts are not in the file, 0 where it counts none."""
        is_mxf = self._container.format.name == "mxf"  # its duration is in pictures
        declared = (self._stream.duration if is_mxf else self._stream.frames) or 0
        if not declared:
            return 0
        with ffmpeg.open_container(self._path) as container:
            stream = container.streams[self._stream.index]
            held = sum(1 for packet in container.demux(stream) if packet.dts is not None or packet.size)
        return max(0, declared - held)

    def _check(self, packet: "Packet") -> None:
        """Note what a packet's bytes, its flags and the demuxer's words say of damage."""
        where = self._where(packet)
        if packet.has_sidedata("encryption_info"):
            raise MediaFault("unsupported", encryption.ENCRYPTED)
        if what := messages.demuxer_damage(self._said, self._end_of_container):
            self.summary.add_error(where, what)
        self._said = []
        if what := content.zeros(self._stream.codec_context.name, bytes(packet)):
            self.summary.add_error(where, what)
        if packet.has_sidedata("new_extradata") and bytes(packet.get_sidedata("new_extradata")).startswith(bytes(16)):
            # It is a picture whose header was lost, as FLV's demuxer takes it.
            self.summary.add_error(where, "a description of the video in zeros: that part of the file was lost")
        # Where files were joined the counter of transport packets jumps too, and nothing is lost.
        if self._jump is not None:
            index, place = self._jump
            if packet.is_keyframe:
                self._jump = None
            elif self._packets - index > _JOINT:
                self._jump = None
                self.summary.add_error(place, "the packet is incomplete or damaged")
        if packet.is_corrupt:
            self._jump = self._jump or (self._packets, where)

    def packets(self) -> Iterator["Packet"]:
        """Yield the stream's packets, undecoded; after an error the demuxer is asked again."""
        failures = 0
        packets = self._container.demux(self._stream)
        while failures < _DEMUX_TRIES:
            try:
                with self._lock, messages.captured() as said:
                    packet = None if self._closed else next(packets, None)
            except av.error.FFmpegError as error:
                failures += 1
                self.summary.add_error(f"after packet {self._packets - 1}", ffmpeg.reason(error))
                packets = self._container.demux(self._stream)
                continue
            if packet is None:
                self._last_words()
                return
            self._said += said
            # An empty packet would tell the decoder that the stream has ended.
            if packet.size:
                failures = 0
                self._packets += 1
                self._check(packet)
                yield packet

    def _last_words(self) -> None:
        """Note what is known of damage once there are no more packets."""
        if what := messages.demuxer_damage(self._said, self._end_of_container):
            self.summary.add_error(f"after packet {self._packets - 1}", what)
        if self._jump is not None:
            self.summary.add_error(self._jump[1], "the packet is incomplete or damaged")

    def _decode(self, packet: "Packet | None", where: str) -> list[av.video.frame.VideoFrame]:
        before = not self._completeness.key_seen and not self._completeness.started
        said: list[messages.Message] = []
        try:
            with self._lock, messages.captured() as said:
                frames = [] if self._closed else self._stream.codec_context.decode(packet)
        except EOFError:
            return []  # the decoder was emptied before
        except av.error.FFmpegError as error:
            if size := messages.too_large(said):
                check_size(*size, self._pixel_bytes)
            if not before:  # pictures before the first key frame have nothing to be decoded from
                self.summary.add_error(where, ffmpeg.reason(error))
            return []
        if size := messages.too_large(said):
            check_size(*size, self._pixel_bytes)
        if said and self._completeness.started and (what := messages.decoder_damage(said)):
            self.summary.add_error(where, what)
        return frames

    def _where(self, packet: "Packet") -> str:
        time = packet.pts if packet.pts is not None else packet.dts
        place = f"packet {self._packets - 1}"
        if time is None or self._stream.time_base is None:
            return place
        return f"{place} ({float(time * self._stream.time_base):.3f} s)"

    def _cut(self) -> str | None:
        """Return a sentence when the container promises more than the file holds."""
        names = set(self._container.format.name.split(","))
        if names & _INDEXED:
            # After edit lists: FFmpeg takes the samples they leave out off its index.
            expected = sum(1 for entry in self._stream.index_entries or () if entry.size)
            if self._packets < expected:
                return f"the file ends or breaks off after {self._packets} of {expected} coded frames"
        missing = missing_bytes(self._path, self._container.format.name)
        return f"the file lacks {missing} bytes at its end" if missing else None

    def _upright(self, frame: av.video.frame.VideoFrame) -> Picture:
        """Convert a frame to BGR and turn it as players do."""
        # PyAV ties a frame and its side data together for the garbage collector, which lets hundreds pile up: so the
        # matrix is read only when the angle, which is there without, has changed.
        if frame.rotation != self._rotation:
            self._rotation, self._matrix = frame.rotation, display_matrix(frame)
        picture = self._picture(frame)
        return picture if self._matrix is None else upright(picture, self._matrix)

    def _picture(self, frame: av.video.frame.VideoFrame) -> Picture:
        """Convert a frame to BGR."""
        try:
            converted = self._converter.reformat(frame, format="bgr24", threads=1)
            return np.ascontiguousarray(converted.to_ndarray(), np.uint8)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaFault(
                "unsupported", f"frames of pixel format {frame.format.name} cannot be converted: {error}"
            ) from error

    def close(self) -> None:
        """Close the file, unless another thread is inside FFmpeg for long; it stops after its packet."""
        self._closed = True
        if self._lock.acquire(timeout=_CLOSE_SECONDS):
            self._container.close()
            self._lock.release()


def _format(container: av.container.InputContainer) -> str:
    codecs = [stream.codec_context.name for stream in container.streams.video if stream.codec_context]
    return codecs[0] if codecs else container.format.name
