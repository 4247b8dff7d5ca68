"""Count the packets of a video, by its container and by reading them; read the first ones."""

import itertools
from pathlib import Path

import av.error
import av.stream
import av.video.stream

from scripts.lib.frames import ffmpeg, messages
from scripts.lib.frames.file_formats import avi_index
from scripts.lib.frames.source import log

# Formats whose demuxer has an index of all samples before the first packet is read.
_INDEXED = {"mov", "avi"}
_FIRST_PACKETS = 100


def first_packets(path: Path, stream: int) -> list[bytes]:
    """Return the content of a stream's first packets, as far as they can be read."""
    found: list[bytes] = []
    with ffmpeg.open_media(path) as container, messages.Captured():
        packets = ffmpeg.demux(container, container.streams[stream])
        try:
            found.extend(bytes(packet) for packet in itertools.islice(packets, _FIRST_PACKETS))
        except av.error.FFmpegError as error:
            log.debug("its first packets: %s", ffmpeg.reason(error))  # decoding reports it
    return found


def declared(path: Path, format_name: str, stream: av.video.stream.VideoStream) -> int:
    """Return how many packets the container declares; 0 if it does not, or not reliably.

    Args:
        path: the file.
        format_name: FFmpeg's names of the container's format, with commas.
        stream: the video stream.
    """
    names = set(format_name.split(","))
    # FFmpeg removes samples that edit lists leave out from its index.
    indexed = sum(1 for entry in stream.index_entries or () if entry.size) if names & _INDEXED else 0
    if format_name == "avi":
        indexed = max(indexed, avi_index.listed_pictures(path, stream.index))
    in_duration = (stream.duration or 0) if "mxf" in names else 0  # a number of pictures
    return max(indexed, in_duration)


def count_absent(path: Path, format_name: str, stream: av.video.stream.VideoStream) -> int:
    """Return how many of the pictures that a container declares are not in the file; 0 if unknown.

    Args:
        path: the file.
        format_name: FFmpeg's names of the container's format, with commas.
        stream: the video stream.
    """
    is_mxf = format_name == "mxf"  # its duration is in pictures
    expected = (stream.duration if is_mxf else stream.frames) or 0
    if not expected:
        return 0
    with ffmpeg.open_media(path) as container:
        again = container.streams[stream.index]
        present = _empty_chunks(again) if format_name == "avi" else 0
        try:
            for packet in ffmpeg.demux(container, again):
                present += packet.dts is not None or packet.size > 0
        except av.error.FFmpegError as error:
            log.debug("counting its packets: %s", ffmpeg.reason(error))  # decoding reports it
    return max(0, expected - present)


def _empty_chunks(stream: av.stream.Stream) -> int:
    """Return how many entries of an AVI's index have no picture; writers fill gaps in time with such entries."""
    entries = stream.index_entries or ()
    last = max((entry.timestamp for entry in entries), default=-1)
    return max(0, last + 1 - sum(1 for entry in entries if entry.size))
