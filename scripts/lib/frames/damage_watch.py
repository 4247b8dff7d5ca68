"""End decoding with several threads, or on a GPU, at any fault of the video."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import av.video.frame

from scripts.lib.frames.completeness import CodedPacket, Completeness
from scripts.lib.frames.source import Summary, with_padding
from scripts.lib.frames.threads import SuspectedDamage, ThreadWatch, with_spare_threads

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from scripts.lib.frames.messages import Message
    from scripts.lib.frames.nvdec import NvdecWatch


class DamageWatch:
    """Ends decoding with several threads, or on a GPU, at any fault; such a video is read again with one thread."""

    def __init__(self, summary: Summary, completeness: Completeness) -> None:
        """Prepare for a video that is decoded with one thread until `begin` or `use_nvdec`.

        Args:
            summary: the faults that were recorded.
            completeness: the pictures that are missing or were skipped.
        """
        self._summary, self._completeness = summary, completeness
        self._watch: ThreadWatch | NvdecWatch | None = None
        self._before: int | None = None  # time of the last frame

    @property
    def is_on(self) -> bool:
        """Whether any fault ends decoding."""
        return self._watch is not None

    def use_nvdec(self, watch: "NvdecWatch") -> None:
        """Watch a video that NVDEC decodes."""
        self._watch = watch

    def begin(self, context: "VideoCodecContext", threads: int) -> int:
        """Let FFmpeg decode with several threads, if they are wanted and no other video is decoded with several.

        Args:
            context: the decoder.
            threads: the wanted number of threads.

        Returns:
            The number of threads; with NVDEC the wanted one.
        """
        if self._watch is not None:
            return threads
        self._watch = ThreadWatch.open(context.name) if threads > 1 else None
        threads = context.thread_count = threads if self._watch else 1
        if self._watch is not None:
            context.thread_count = with_spare_threads(context, threads)
            # Larger frames in mid-stream would use more memory than planned, and are read again with one thread.
            context.options = {**context.options, "max_pixels": str(with_padding(context.width * context.height))}
        return threads

    def require_undamaged(self, captured: "Sequence[Message]" = ()) -> None:
        """End decoding if it is watched and there is any fault of the video.

        Args:
            captured: FFmpeg's messages to this thread.

        Raises:
            SuspectedDamage: there is a fault.
        """
        if self._watch is None:
            return
        fault = self._summary.damage or self._watch.sign_of_damage(list(captured))
        if not fault and (self._summary.skipped or self._completeness.skipped):
            fault = "pictures before the first key frame"
        if fault:
            raise SuspectedDamage(fault)

    def require_next(self, frame: av.video.frame.VideoFrame) -> None:
        """End decoding if a frame's packet or time is unknown, or if it goes back in time.

        Raises:
            SuspectedDamage: the frame has one of these faults.
        """
        before, self._before = self._before, frame.pts
        if not isinstance(frame.opaque, CodedPacket) or frame.is_corrupt:
            raise SuspectedDamage(f"frame {self._summary.decoded} is damaged or of an unknown packet")
        if frame.pts is None or (before is not None and frame.pts <= before):
            raise SuspectedDamage(f"frame {self._summary.decoded} has no time, or one before that of the last")

    def close(self) -> None:
        """Stop watching; another video may then be decoded with several threads."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
