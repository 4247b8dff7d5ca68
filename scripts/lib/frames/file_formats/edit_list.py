"""What an edit list of MP4 and QuickTime does to a video's pictures, as far as FFmpeg's packets do not tell."""

from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from scripts.lib.frames import ffmpeg
from scripts.lib.frames.file_formats import mp4_tables


def is_mp4(container: InputContainer) -> bool:
    """Return whether a file is an MP4, a QuickTime file or of another name of that family."""
    return "mov" in container.format.name.split(",")


def jumps(path: Path, container: InputContainer, stream: VideoStream) -> frozenset[int]:
    """Return the packets at which an edit list goes on elsewhere in the file, counted from 0.

    Args:
        path: the file.
        container: it, opened; one of another format has none.
        stream: its video.
    """
    if not is_mp4(container) or mp4_tables.segments(path, stream.id) < 2:
        return frozenset()
    with ffmpeg.open_media(path, edit_lists=False) as plain:
        samples = [entry.pos for entry in plain.streams[stream.index].index_entries or () if entry.size]
    places = {place: at for at, place in enumerate(samples)}
    shown = [places.get(entry.pos) for entry in stream.index_entries or () if entry.size]
    return frozenset(at for at in range(1, len(shown)) if (last := shown[at - 1]) is not None and shown[at] != last + 1)


def last_picture_until(path: Path, container: InputContainer, stream: VideoStream, time: int | None) -> int | None:
    """Return when a file's last picture ends where FFmpeg's versions differ in that; None if they agree.

    Without times of showing, the last sample lasts until the track's end for FFmpeg 5, and an edit list may put that
    elsewhere; FFmpeg 8 takes the sample's own length.

    Args:
        path: the file.
        container: it, opened; of another format they agree.
        stream: its video.
        time: when the last picture is shown.
    """
    end, samples = stream.duration, stream.index_entries
    if not is_mp4(container) or time is None or not end or not samples or not len(samples):
        return None
    if samples[-1].timestamp != time or end <= time or mp4_tables.has_times_of_showing(path, stream.id):
        return None
    return end


def why_nothing_is_shown(path: Path, container: InputContainer, stream: VideoStream) -> str:
    """Return a sentence on a video none of whose pictures came out, without an error.

    Args:
        path: the file.
        container: it, opened.
        stream: its video.
    """
    if is_mp4(container):
        with ffmpeg.open_media(path, edit_lists=False) as plain:
            if held := sum(1 for entry in plain.streams[stream.index].index_entries or () if entry.size):
                return f"its edit list shows none of its {held} pictures"
    return "its video stream is empty"
