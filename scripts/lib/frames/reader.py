"""Read the frames of a video or a picture, in order, with a record of every fault.

The reader does not seek, so frame numbers are those of the decoded frames in presentation order or, for an original,
those under which Tator's player shows them (original.py). It continues after damage, so that damage is
counted and not taken for the end. Only a part of a video (parts.py) begins elsewhere.
"""

from pathlib import Path
from types import ModuleType

from scripts.lib.errors import MediaFault
from scripts.lib.frames.nvdec import NvdecContext, NvdecWatch, unfit
from scripts.lib.frames.original import OriginalFrames
from scripts.lib.frames.parts import Part, PartFrames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import ALL_FRAMES, FrameSource, log
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
        media: the file, or a picture's content; its name says nothing, its content everything.
        kind: what Tator declares it to be.
        wanted: the numbers of a video's frames to give out, see wanted_frames; a picture is given out whatever they
            are.
        part: read only this part of a video, see parts.py; its pictures are numbered in order.
        shown: of a video's original, what Tator shows of it; None for a file whose pictures are numbered in order and
            turned as players do.
        threads: with how many to decode a video at most; with several, SuspectedDamage may end the reading.
        nvdec: PyNvVideoCodec, for a video that is not read in parts to be decoded on the GPU where that gives the same;
            SuspectedDamage may end the reading then too. None: the CPU decodes.

    Raises:
        MediaFault: `unreadable` for a file that holds no frames, `unsupported` for one of the other kind, of a
            codec without a decoder, or of more than MAX_PIXELS.
        OSError: the file cannot be opened.
    """
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
    """Have NVDEC decode a video; return why not; None if it does."""
    with VideoFrames(path) as other:
        try:
            first = other.first()
        except MediaFault as fault:
            return fault.reason
        if first is None or (why := unfit(other.stream, first)):
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
