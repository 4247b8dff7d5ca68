"""Find effects of edit lists of MP4 and QuickTime that FFmpeg's packets do not show."""

from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from scripts.lib.frames import ffmpeg
from scripts.lib.frames.file_formats import mp4_tables


def is_mp4(container: InputContainer) -> bool:
    """Return whether a file is an MP4, a QuickTime file or of another format of that family."""
    return "mov" in container.format.name.split(",")


def jumps(path: Path, container: InputContainer, stream: VideoStream) -> frozenset[int]:
    """Return the indexes, from 0, of the packets at which an edit list jumps to another place in the file.

    Args:
        path: the file.
        container: the opened file; in files of other formats there are no such packets.
        stream: the file's video stream.
    """
    if not is_mp4(container) or mp4_tables.segments(path, stream.id) < 2:
        return frozenset()
    with ffmpeg.open_media(path, edit_lists=False) as plain:
        samples = [entry.pos for entry in plain.streams[stream.index].index_entries or () if entry.size]
    places = {place: at for at, place in enumerate(samples)}
    shown = [places.get(entry.pos) for entry in stream.index_entries or () if entry.size]
    return frozenset(at for at in range(1, len(shown)) if (last := shown[at - 1]) is not None and shown[at] != last + 1)


def last_picture_until(path: Path, container: InputContainer, stream: VideoStream, time: int | None) -> int | None:
    """Return the end time of a file's last picture if FFmpeg's versions differ in it; None if they agree.

    If the file has no display times, FFmpeg 5 shows the last sample until the track's end, which an edit list may
    change; FFmpeg 8 uses the sample's duration.

    Args:
        path: the file.
        container: the opened file; for files of other formats FFmpeg's versions agree.
        stream: the file's video stream.
        time: display time of the last picture.
    """
    end, samples = stream.duration, stream.index_entries
    if not is_mp4(container) or time is None or not end or not samples or not len(samples):
        return None
    if samples[-1].timestamp != time or end <= time or mp4_tables.has_display_times(path, stream.id):
        return None
    return end


def why_nothing_is_shown(path: Path, container: InputContainer, stream: VideoStream) -> str:
    """Return why a video has no pictures, if reading it gave no error.

    Args:
        path: the file.
        container: the opened file.
        stream: the file's video stream.
    """
    if is_mp4(container):
        with ffmpeg.open_media(path, edit_lists=False) as plain:
            if count := sum(1 for entry in plain.streams[stream.index].index_entries or () if entry.size):
                return f"its edit list shows none of its {count} pictures"
    return "its video stream is empty"
