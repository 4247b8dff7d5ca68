"""Print the cost of checking for damage during detection: `python -m benchmarks.checks`.

Each round detects in a clip with and without the checks, and reads it with and without them. Without checks, packets
and frames are passed on directly. Processor times are compared.
"""

import argparse
import logging
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import av
import av.video.frame

from benchmarks.case import sample_network, step_arguments
from benchmarks.clips import RATE, write_clip
from benchmarks.inside import decode, open_case
from benchmarks.measure import Usage, cores, in_turns, measured
from scripts import detect as step
from scripts.lib.boxes import Size
from scripts.lib.detection import network
from scripts.lib.frames.video import VideoFrames
from scripts.lib.workflow.jobs import job

# By file name: the encoder, its options and its pixel format; None for the clip of the other benchmarks.
_CLIPS: dict[str, tuple[str, dict[str, str], str] | None] = {
    "h264.mp4": None,
    "h264.ts": ("libx264", {"preset": "veryfast", "crf": "23"}, "yuv420p"),
    "hevc.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}, "yuv420p"),
    "mjpeg.avi": ("mjpeg", {"qmin": "3", "qmax": "3"}, "yuvj420p"),
    "prores.mov": ("prores_ks", {}, "yuv422p10le"),
}
_SIZE = Size(1280, 720)


def _unchecked(video: VideoFrames) -> Iterator[av.video.frame.VideoFrame]:
    for packet in video._container.demux(video._stream):
        yield from video._stream.codec_context.decode(packet if packet.size else None)


def _without_checks() -> AbstractContextManager[object]:
    return mock.patch.object(VideoFrames, "_frames", _unchecked)


def write_as(folder: Path, name: str, like: Path) -> Path:
    """Write a clip again with another codec, or in another container."""
    coded = _CLIPS[name]
    if coded is None:
        return like
    codec, options, pixels = coded
    with av.open(str(like)) as source, av.open(str(folder / name), "w") as out:
        stream: Any = out.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *_SIZE, pixels
        for number, frame in enumerate(source.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(stream.encode(frame.reformat(format=pixels)))
        out.mux(stream.encode(None))
    return folder / name


def _compare(folder: Path, clip: Path, rounds: int) -> tuple[list[list[Usage]], int]:
    """Return each round's usage, for detecting and reading, with and without checks; and the number of frames."""
    case, arguments = sample_network(None), {}
    with open_case(case) as engine:
        arguments = job.bind(step.detect, step_arguments(case, clip, folder / "step", cores()))

        def detect() -> None:
            with mock.patch.object(network, "open_engine", return_value=engine), mock.patch.object(engine, "close"):
                step.detect(**arguments)

        def timed(action: Callable[[], None], *, checks: bool) -> Callable[[], Usage]:
            def run() -> Usage:
                with nullcontext() if checks else _without_checks():
                    return measured(action)

            return run

        actions = [
            timed(action, checks=checks) for action in (detect, lambda: decode(clip)) for checks in (True, False)
        ]
        for action in actions:
            action()
        with av.open(str(clip)) as container:
            frames = sum(1 for packet in container.demux(video=0) if packet.size)
        return in_turns(actions, rounds, 0), frames


def main() -> None:
    """Print the table of docs/evidence.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds for each clip (9)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(
        "| clip | detection with checks / without | reading with / without | checks, ms a frame | share of detection |"
    )
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        like = write_clip(folder / "h264.mp4", _SIZE)
        for clip in _CLIPS:
            rounds, frames = _compare(folder, write_as(folder, clip, like), options.rounds)
            whole = statistics.median(checked.cpu / bare.cpu for checked, bare, _, _ in rounds)
            reading = statistics.median(checked.cpu / bare.cpu for _, _, checked, bare in rounds)
            cost = statistics.median(checked.cpu - bare.cpu for _, _, checked, bare in rounds)
            share = cost / statistics.median(bare.cpu for _, bare, _, _ in rounds)
            print(f"| {clip} | {whole:.3f} | {reading:.3f} | {1000 * cost / frames:.3f} | {share:.2%} |", flush=True)


if __name__ == "__main__":
    main()
