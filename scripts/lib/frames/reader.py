"""Read the frames of a video or a picture, in order, with a record of every fault.

Frame numbers count the decoded frames in display order or, for an original, are those with which Tator's player shows
them (original.py). Only a part of a video (parts.py) is read from a seek position; all other files are read from their
beginning. Reading continues after damage, so that all damage is counted.
"""

from pathlib import Path
from types import ModuleType

from scripts.lib.errors import MediaFault
from scripts.lib.frames.nvdec import NvdecContext, NvdecWatch, unsupported
from scripts.lib.frames.original import OriginalFrames
from scripts.lib.frames.parts import Part, PartFrames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import ALL_FRAMES, FrameSource, check_disk, log
from scripts.lib.frames.stills.pictures import StillFrames
from scripts.lib.frames.threads import SuspectedDamage
from scripts.lib.frames.video import VideoFrames
from scripts.lib.records import Kind


def open_frames(
    media: Path | bytes,
    kind: Kind,
    wanted: range = ALL_FRAMES,
    part: Part | None = None,
    shown: Shown | None = None,
    *,
    threads: int = 1,
    nvdec: ModuleType | None = None,
) -> FrameSource:
    """Open a media file for reading its frames.

    Args:
        media: path of the file, or the content of a picture; the format is detected from the content alone.
        kind: the kind that Tator declares the media to be.
        wanted: the numbers of a video's frames to return, see wanted_frames; a picture is always returned.
        part: the part of a video to read, see parts.py; None for the whole file.
        shown: how Tator shows the video, if the file is its original; None for a file whose pictures are numbered in
            order and turned as players do.
        threads: largest number of decoding threads for a video; with several, reading may end with SuspectedDamage.
        nvdec: PyNvVideoCodec, to decode on the GPU a video that is not read in parts, if that gives the same pictures;
            reading may then end with SuspectedDamage, too. None to decode on the CPU.

    Raises:
        MediaFault: `unreadable` for a file without frames, `unsupported` for one of the other kind, of a codec without
            a decoder, or with pictures of more than MAX_PIXELS; `failed` for one on a bad disk.
        OSError: the file cannot be opened.
    """
    try:
        return _opened(media, kind, wanted, part, shown, threads=threads, nvdec=nvdec)
    except OSError as error:
        check_disk(error)
        raise


def _opened(
    media: Path | bytes,
    kind: Kind,
    wanted: range,
    part: Part | None,
    shown: Shown | None,
    *,
    threads: int,
    nvdec: ModuleType | None,
) -> FrameSource:
    if not (len(media) if isinstance(media, bytes) else media.stat().st_size):
        raise MediaFault("unreadable", "it is empty (0 bytes)")
    if kind == "image":
        return StillFrames(media)
    if isinstance(media, bytes):
        raise TypeError("a video is read from a file")
    if part is not None:
        return PartFrames(media, part, wanted, threads)
    video = VideoFrames(media, wanted, threads) if shown is None else OriginalFrames(media, shown, wanted, threads)
    if nvdec is not None and (why := _decode_on_gpu(video, media, nvdec)):
        log.info("the CPU decodes it: %s", why)
    return video


def _decode_on_gpu(video: VideoFrames, path: Path, library: ModuleType) -> str | None:
    """Make a video use NVDEC; return the reason if that is impossible, else None."""
    with VideoFrames(path) as other:
        try:
            first = other.first()
        except MediaFault as fault:
            return fault.reason
        if first is None or (why := unsupported(other.stream, first)):
            return why if first is not None else "it has no frame"
        if other.jumps:
            return "its edit list takes its pictures from several places"
    if (watch := NvdecWatch.open()) is None:
        return "another video is being decoded on the GPU"
    try:
        video.decode_with(NvdecContext(library, video.stream, first), watch)
    except SuspectedDamage as error:
        watch.close()
        return str(error)
    return None
