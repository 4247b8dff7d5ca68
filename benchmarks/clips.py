"""Create media from the sample's pictures, enlarged. Clips get grain, so that they are as large as a camera's files."""

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.video.frame
import cv2
import numpy as np

from scripts.lib.boxes import Pixels, Size

SAMPLE = Path(__file__).resolve().parents[1] / "examples" / "aquarium"
RATE = 25
GRAIN = 6.0  # grey levels
# Number of different clips and pictures; further ones are links to these.
DISTINCT_CLIPS, DISTINCT_PICTURES = 10, 150
_OF_SAMPLE = 150  # frames


def write_clip(path: Path, size: Size, frames: int = 150, seed: int = 0) -> Path:
    """Write the sample's first frames as an MP4 of H.264.

    Args:
        path: the file.
        size: width and height; the sample is cut to its shape.
        frames: the number of frames, at most the sample's 150.
        seed: the seed of the grain.
    """
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, GRAIN, (size.height * 2, size.width * 2, 1)).astype(np.float32)
    with av.open(str(SAMPLE / "aquarium.mp4")) as sample, av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for _, frame in zip(range(frames), sample.decode(video=0), strict=False):
            right, down = rng.integers(size.width), rng.integers(size.height)
            picture = _enlarged(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), size)
            grainy = picture + grain[down : down + size.height, right : right + size.width]
            content = np.clip(grainy, 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(content, format="bgr24")))
        out.mux(stream.encode(None))
    return path


def write_coded_clip(path: Path, size: Size, frames: int, encoder: str, options: dict[str, str]) -> Path:
    """Write the frames of write_clip with another encoder; see write_coded_clips."""
    write_coded_clips({path: frames}, size, encoder, options)
    return path


def write_coded_clips(paths: Mapping[Path, int], size: Size, encoder: str, options: dict[str, str]) -> None:
    """Write clips with the frames of write_clip, with another encoder.

    Args:
        paths: the number of frames of each file. Above the sample's 150 they are repeated, in whole repetitions.
        size: width and height.
        encoder: FFmpeg's name of the encoder.
        options: the encoder's options.
    """
    first = next(iter(paths))
    like = write_clip(first.with_name(f"like-{first.name}"), size, min(max(paths.values()), _OF_SAMPLE))
    coded: dict[int, Path] = {}
    for path, frames in paths.items():
        count = min(frames, _OF_SAMPLE)
        if count not in coded:
            coded[count] = _encoded(like, path.with_name(f"once-{path.name}"), size, count, encoder, options)
        repeat_clip(coded[count], path, -(-frames // _OF_SAMPLE))
    for file in (like, *coded.values()):
        file.unlink()


def _encoded(like: Path, path: Path, size: Size, frames: int, encoder: str, options: dict[str, str]) -> Path:  # noqa: PLR0917
    with av.open(str(like)) as source, av.open(str(path), "w") as out:
        stream: Any = out.add_stream(encoder, rate=RATE, options=options)
        stream.gop_size = RATE  # cameras write one or two key frames a second
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number, frame in zip(range(frames), source.decode(video=0), strict=False):
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def repeat_clip(clip: Path, path: Path, turns: int) -> Path:
    """Write a clip that repeats another one of this module, without encoding it again."""
    with av.open(str(path), "w") as out:
        stream: Any = None
        for turn in range(turns):
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                shift = round(turn * video.frames * Fraction(1, RATE) / (video.time_base or 1))
                for packet in source.demux(video):
                    if packet.pts is None or packet.dts is None:
                        continue  # the empty packet at the end
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)
    return path


def write_clips(folder: Path, size: Size, count: int) -> None:
    """Write clips of one second into a new folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:05d}.mp4"
        if number < DISTINCT_CLIPS:
            write_clip(path, size, RATE, seed=number)
        else:
            os.link(folder / f"{number % DISTINCT_CLIPS:05d}.mp4", path)


def write_pictures(folder: Path, size: Size, count: int) -> None:
    """Write the sample's frames as JPEG into a new folder."""
    folder.mkdir(parents=True)
    with av.open(str(SAMPLE / "aquarium.mp4")) as sample:
        for number, frame in zip(range(min(count, DISTINCT_PICTURES)), sample.decode(video=0), strict=False):
            picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            cv2.imwrite(str(folder / f"{number:05d}.jpg"), _enlarged(picture, size))
    for number in range(DISTINCT_PICTURES, count):
        os.link(folder / f"{number % DISTINCT_PICTURES:05d}.jpg", folder / f"{number:05d}.jpg")


def _enlarged(picture: Pixels, size: Size) -> Pixels:
    """Enlarge a picture until it fills the size, and crop it to its middle."""
    height, width = picture.shape[:2]
    factor = max(size.width / width, size.height / height)
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    down, right = (large.shape[0] - size.height) // 2, (large.shape[1] - size.width) // 2
    return np.asarray(large[down : down + size.height, right : right + size.width], np.uint8)
