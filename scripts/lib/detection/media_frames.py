"""The frames of a media's file, for detection."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from scripts.lib.detection.media_task import FrameInput
from scripts.lib.errors import MediaFault
from scripts.lib.frames.parts import Part
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import FrameSource
from scripts.lib.records import DownloadRecord, MediaRecord
from scripts.lib.workflow.processes import memory

# To open a video, FFmpeg decodes its first pictures and holds up to 17 of them, with 3 bytes per pixel if they have 10
# bits; and the share of the free memory that this may use while another video is read.
_OPENING_BYTES, _OPENING_SHARE = 50, 0.125
_ASSUMED_PIXELS = 3840 * 2160  # if the record has no size


class MediaFrames(FrameInput):
    """The frames of a media's file, if there is one."""

    def __init__(
        self,
        media: Path | bytes,
        wanted: MediaRecord,
        fetched: DownloadRecord | None,
        asked: range,
        part: Part | None = None,
        *,
        threads: int = 1,
        nvdec: ModuleType | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        """Store the arguments; `open` opens the file.

        Args:
            media: the downloaded file, or a picture's content.
            wanted: the record of resolve_media.
            fetched: the record of download_media; unless both records are `ready`, their state and reason become those
                of detection. None if the media is not read.
            asked: numbers of the frames to return.
            part: the part of a video to read; None for the whole media.
            threads: number of decoding threads.
            nvdec: the module PyNvVideoCodec, to decode a video on the GPU; None to decode on the CPU.
            release: function to call when the media was read, so that its file can be removed; may be called again.
        """
        super().__init__()
        self._media, self._wanted, self._fetched = media, wanted, fetched
        self._asked, self._part, self._threads, self._nvdec = asked, part, threads, nvdec
        self._release = release
        self.is_picture = wanted.kind is not None and wanted.file_kind == "image"
        # A GPU decodes one video at a time.
        pixels = (wanted.width or 0) * (wanted.height or 0) or _ASSUMED_PIXELS
        self.opens_ahead = nvdec is None and pixels * _OPENING_BYTES <= memory.left() * _OPENING_SHARE

    def release(self) -> None:
        """Release the file."""
        if self._release is not None:
            self._release()

    def open(self) -> FrameSource:
        """Open the media's file.

        Raises:
            MediaFault: the file cannot be read, or an earlier step has recorded that there is none.
        """
        first = self._wanted if self._wanted.state != "ready" or self._fetched is None else self._fetched
        if first.state != "ready":
            raise MediaFault(first.state, first.reason or "")
        if self._fetched is None:
            raise ValueError(f"media {self._wanted.media_id}: there is no record of its download")
        media = self._media
        if isinstance(media, bytes):
            self._media = b""  # so that the content, which may be large, is freed after reading
        shown = Shown.of_original(self._wanted, self._fetched)
        return open_frames(
            media, self._wanted.file_kind, self._asked, self._part, shown, threads=self._threads, nvdec=self._nvdec
        )

    def open_again(self) -> FrameSource:
        """Open a video's file again, to be decoded by the CPU with one thread."""
        self._threads, self._nvdec = 1, None
        return self.open()
