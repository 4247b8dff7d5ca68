"""Read the frames of a video, packet by packet."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error
import av.logging
import av.video.frame
import numpy as np

from scripts.lib.errors import MediaFault
from scripts.lib.frames import ffmpeg, messages, packet_counts
from scripts.lib.frames.codecs import content, vp9_headers
from scripts.lib.frames.codecs.coded_pictures import CodedPictures
from scripts.lib.frames.codecs.mpeg_pictures import CODECS
from scripts.lib.frames.completeness import CodedPacket, Completeness
from scripts.lib.frames.conversion import Converter, Turning
from scripts.lib.frames.damage import jpeg, png
from scripts.lib.frames.damage_watch import DamageWatch
from scripts.lib.frames.file_formats import edit_list
from scripts.lib.frames.nvdec import NvdecContext, NvdecWatch
from scripts.lib.frames.orientation import Orientation
from scripts.lib.frames.rotation import upright
from scripts.lib.frames.source import ALL_FRAMES, DeferredPicture, Picture, check_size, most_pixels
from scripts.lib.frames.threads import SuspectedDamage, threads_for
from scripts.lib.frames.video_packets import CLOSE_SECONDS, VideoPackets

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from scripts.lib.frames.ffmpeg import Packet

_PNG = {"png", "apng"}
# Formats with one time for each picture; and AVI, which has no times.
_ONE_TIME = {"matroska", "webm", "avi"}


class VideoFrames(VideoPackets):
    """The frames of a file's video stream."""

    defers = True

    def __init__(self, path: Path, wanted: range = ALL_FRAMES, threads: int = 1) -> None:
        """Open the file.

        Args:
            path: the file.
            wanted: numbers of the frames to return.
            threads: largest number of decoding threads, see threads.py.
        """
        super().__init__(path)
        self._wanted = wanted
        self._converter = Converter()
        context = self._decoder
        # A decoder other than FFmpeg's default does not get the side data of the container's header.
        has_side_data = context is self._stream.codec_context
        self.orientation = Orientation(path, self._stream.index, self._codec, has_side_data=has_side_data)
        self._completeness = Completeness(
            self._period(),
            self._stream.time_base,
            reorders=bool(context.has_b_frames),
            two_times=not _ONE_TIME & set(self._container.format.name.split(",")),
        )
        first_packets = packet_counts.first_packets(path, self._stream.index) if self._codec in CODECS else []
        self._coded = CodedPictures(self._codec, context.extradata or b"", first_packets)
        context.copy_opaque = True  # so that each frame has a reference to its packet
        # Slice threads disable FFmpeg's error concealment, and so the flags on damaged frames.
        context.thread_type = "FRAME"
        context.thread_count = 1  # so that an error belongs to the packet that caused it
        self.threads = 1 if self.jumps else threads_for(context, threads)
        self._watch = DamageWatch(self.summary, self._completeness)
        self._left_out = False  # whether an edit list leaves out the packet that was read last
        context.options = {
            **context.options,
            "max_pixels": str(most_pixels(self._pixel_bytes)),
            # Check the checksums of HEVC. For codecs without an end marker, report how many bits are left after a
            # picture: too many if it was changed.
            "err_detect": "crccheck+buffer" if self._codec in content.WITHOUT_END else "crccheck",
        }
        self.summary.declared = self._stream.frames or None
        self.summary.expected = self._expected()
        self.summary.rate = float(self.average_rate or 0)

    def _expected(self) -> int | None:
        """Return the probable number of wanted frames, from the declared number or the duration; None if unknown."""
        frames, duration = self._stream.frames, self._container.duration
        if not frames and duration and (rate := self.average_rate):
            frames = round(duration / av.time_base * rate)
        if not frames:
            return None
        return len(range(self._wanted.start, min(self._wanted.stop, frames), self._wanted.step))

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        for number, picture in self._pictures():
            yield number, picture if isinstance(picture, np.ndarray) else picture()

    def deferred(self) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        """Yield the frames; for those like the first one, functions that return the picture."""
        self._converter.defers = True
        yield from self._pictures()

    def _pictures(self) -> Iterator[tuple[int, Picture | DeferredPicture]]:
        for frame in self._frames():
            self._check_frame(frame)
            used = self.summary.next_number in self._wanted
            # The first frame is always converted, as its size is the media's size.
            picture = self._upright(frame) if used or self.summary.decoded == 0 else None
            number = self.summary.add_frame(picture if isinstance(picture, np.ndarray) else None, used=used)
            if used and picture is not None:
                yield number, picture
            if number >= self._wanted[-1]:
                self._check_last_packets()
                return  # the rest is not wanted
        self._end()

    def first(self) -> av.video.frame.VideoFrame | None:
        """Return the first frame as decoded, None if there is none; nothing else can be read afterwards."""
        return next(self.decoded(), None)

    def decoded(self) -> Iterator[av.video.frame.VideoFrame]:
        """Yield the frames as decoded, once; nothing else can be read afterwards."""
        return self._frames()

    @property
    def reorders(self) -> bool:
        """Whether the decoder may return pictures in another order than their packets."""
        return bool(self._decoder.has_b_frames)

    def _check_frame(self, frame: av.video.frame.VideoFrame) -> None:
        """Refuse a frame that is too large; record a damaged frame."""
        check_size(frame.width, frame.height, self._pixel_bytes)
        if frame.is_corrupt:
            self.summary.add_error(f"frame {self.summary.decoded}", "damaged, the decoder filled the gaps")

    def _end(self) -> None:
        """Record missing pictures after the file was read to its end.

        Raises:
            MediaFault: `unreadable`, no frame can be decoded.
        """
        self.summary.read_to_end = True
        if not self._left_out:  # pictures that an edit list cuts off are not missing
            self._add_unseen(self._coded.end(), f"the end, after packet {self._packets - 1}")
        if lost := self._completeness.end():
            self.summary.add_missing(len(lost), lost[0].where)
        self.summary.cut = self._cut()
        self._watch.require_undamaged()
        if self.summary.decoded == 0:
            why = self.summary.damage or edit_list.why_nothing_is_shown(self._path, self._container, self._stream)
            if self._packets and not (self._completeness.key_seen or self.summary.error_count or self.summary.cut):
                why = f"it has {self._packets} coded pictures, but no key frame from which decoding could begin"
            raise MediaFault("unreadable", f"no frame can be decoded: {why}")

    def _frames(self) -> Iterator[av.video.frame.VideoFrame]:
        self._checks.refuse_encrypted()
        self.threads = self._converter.threads = self._watch.begin(self._decoder, self.threads)
        if (codec := self._codec) in _PNG:
            png.check_metadata(self._decoder.extradata or b"")
        for packet in self.packets():
            where = self._checks.where(packet, self._packets - 1)
            coded = bytes(packet)
            self._left_out = packet.is_discard
            if self._packets - 1 in self.jumps:
                yield from filter(self._record_and_filter, self._flushed(where))
                self._coded.restart()
                self._completeness.restart()
            if not content.is_for_decoder(codec, coded):
                continue
            has_frames = self._completeness.started
            facts = self._coded.take(coded, self._decoder.has_b_frames, key=packet.is_keyframe, has_frames=has_frames)
            key = facts.key
            if missing := facts.missing or int(facts.restarts and self._completeness.skips(packet.dts)):
                self.summary.add_error(where, messages.missing_before(missing))
            self._add_unseen(facts.unseen, where)
            for size in vp9_headers.sizes(coded) if codec == "vp9" else ():
                check_size(*size, self._pixel_bytes)
            if codec == "mjpeg":
                jpeg.check_scans(coded)
            if codec in _PNG:
                png.check_metadata(coded)
            hidden = content.hidden(codec, coded)
            if hidden and codec == "mpeg4":
                self._completeness.gaps.stop()  # the packet repeats the picture before it
            if not (facts.second or hidden or content.is_header(codec, coded)):
                leads, in_group = self._coded.place(coded, facts, key=key)
                if packet.is_discard:
                    self._completeness.leave_out(key=key)
                else:
                    announced = self._completeness.announce(self._packets - 1, packet.pts, packet.dts, where, key=key)
                    announced.leading, announced.place = leads, in_group
                    packet.opaque = announced
            yield from filter(self._record_and_filter, self._decode(packet, where))
        self._completeness.at_end = self._coded.reorders
        yield from filter(self._record_and_filter, self._decode(None, f"the end, after packet {self._packets - 1}"))

    def _set_extradata(self, extradata: bytes) -> None:
        self._coded.set_extradata(extradata)

    def _flushed(self, where: str) -> list[av.video.frame.VideoFrame]:
        """Return the frames left in an HEVC decoder, before an edit list jumps to another place in the file.

        The decoder orders pictures by numbers that continue from one key frame to the next. After a jump they do not:
        pictures would be returned too late or never, and leading pictures decoded from wrong references.

        Args:
            where: description of the packet after the jump.
        """
        if self._codec != "hevc":
            return []
        frames = self._decode(None, where)
        self._decoder.flush_buffers()
        self.summary.restarts += 1
        return frames

    def decode_with(self, context: NvdecContext, watch: NvdecWatch) -> None:
        """Decode with NVDEC, in which any fault raises SuspectedDamage; call this before the first frame is read."""
        self._decoder = cast("VideoCodecContext", context)
        self._watch.use_nvdec(watch)
        self.threads = self._converter.threads = max(2, self.threads)

    def _add_unseen(self, count: int, where: str) -> None:
        """Record pictures that are missing according to the order of the others.

        Pictures that fit into gaps in time count as missing frames, the others as one error.

        Args:
            count: number of missing pictures.
            where: description of the packet after which they are known to be missing.
        """
        if filled := self._completeness.fill(count):
            self.summary.add_missing(filled, where)
        if count > filled:
            self.summary.add_error(where, messages.missing_before(count - filled))

    def _record_and_filter(self, frame: av.video.frame.VideoFrame) -> bool:
        """Record the pictures missing before a frame; return whether the frame itself is in time."""
        if self._watch.is_on:
            self._watch.require_next(frame)
        coded = frame.opaque if isinstance(frame.opaque, CodedPacket) else None
        first = not self._completeness.started
        if first and not self._completeness.key_left_out and content.is_invented_by_decoder(self._codec, frame):
            self._completeness.skip(coded)
            return False
        if coded is None:
            return True
        if first and self._codec in content.BEGIN_BY_DECODER:
            self._completeness.begin_at(coded)
        lost, gap, late = self._completeness.arrive(coded, damaged=self.summary.damaged or frame.is_corrupt)
        if first and self._completeness.skipped and (absent := self._absent()):
            # The recording does not begin in mid-stream; its first key frame was lost.
            self.summary.add_missing(self._completeness.skipped + absent, "the file's beginning")
            self._completeness.skipped = 0
        if late:
            self.summary.add_error(coded.where, "its picture comes after later ones: left out")
        elif lost or gap:
            self.summary.add_missing(len(lost) + gap, (lost[0] if lost else coded).where)
        self.summary.skipped = self._completeness.skipped
        gaps = self._completeness.gaps
        self.summary.missing_by_time, self.summary.first_gap = gaps.missing, gaps.first
        self._watch.require_undamaged()
        return not late

    def _decode(self, packet: "Packet | None", where: str) -> list[av.video.frame.VideoFrame]:
        captured: list[messages.Message] = []
        try:
            with (
                self._lock,
                messages.Captured(av.logging.INFO if self._watch.is_on else av.logging.WARNING) as captured,
            ):
                frames = [] if self._closed else self._decoder.decode(packet)
        except EOFError:
            return []  # the decoder is already flushed
        except av.error.FFmpegError as error:
            if self._watch.is_on:
                raise SuspectedDamage(ffmpeg.reason(error)) from error
            if size := messages.too_large(captured):
                check_size(*size, self._pixel_bytes)
            # Pictures before the first key frame have no reference to be decoded from.
            if self._completeness.key_seen or self._completeness.started:
                self.summary.add_error(where, ffmpeg.reason(error))
            return []
        if self._watch.is_on:
            self._watch.require_undamaged(captured)
            return frames
        if size := messages.too_large(captured):
            check_size(*size, self._pixel_bytes)
        key = packet is not None and packet.is_keyframe and content.keys_are_whole(self._codec)
        if captured and (self._completeness.started or key) and (what := messages.decoder_damage(captured)):
            self.summary.add_error(where, what)
        return frames

    def close(self) -> None:
        """Close the file, unless another thread stays in FFmpeg for too long; that thread stops after its packet."""
        self._closed = True
        if self._watch.is_on and self._lock.acquire(timeout=CLOSE_SECONDS):
            # FFmpeg's threads need the interpreter's lock to report messages. After flushing, no thread is running.
            self._decoder.flush_buffers()
            self._lock.release()
            self._watch.close()
        super().close()

    def _check_last_packets(self) -> None:
        super()._check_last_packets()
        self._watch.require_undamaged()

    def _upright(self, frame: av.video.frame.VideoFrame) -> Picture | DeferredPicture:
        """Return a frame's upright BGR picture, or the function that returns it."""
        return self._converter.convert(frame, self._turning_of(frame))

    def _turning_of(self, frame: av.video.frame.VideoFrame) -> Turning | None:
        """Return the function that turns a frame upright; None if it is upright."""
        return self.orientation.turning_of(frame, self._turn)

    def _turn(self, frame: av.video.frame.VideoFrame) -> Turning | None:
        """Return the function that turns frames with this frame's angle as players do; None if they are upright."""
        matrix = self.orientation.matrix_of(frame)
        return None if matrix is None else partial(upright, matrix=matrix)
