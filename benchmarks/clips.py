"""The clips: the sample's pictures, enlarged, with seeded grain, so that they are as large as a camera's."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from scripts.lib.retinanet import Pixels, Size

SAMPLE = Path(__file__).resolve().parents[1] / "examples" / "aquarium"
RATE = 25
GRAIN = 6.0  # grey levels


def write_clip(path: Path, size: Size, frames: int = 150, seed: int = 0) -> Path:
    """Write the sample's first frames as an MP4 of H.264.

    Args:
        path: the file.
        size: width and height; the sample is cut to its shape.
        frames: how many, of the sample's 150.
        seed: of the grain.
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


def repeat_clip(clip: Path, path: Path, turns: int) -> Path:
    """Write a clip that shows another one of this module so many times, without coding it anew."""
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


def _enlarged(picture: Pixels, size: Size) -> Pixels:
    """Enlarge a picture until it fills the size, and take its middle."""
    height, width = picture.shape[:2]
    factor = max(size.width / width, size.height / height)
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    down, right = (large.shape[0] - size.height) // 2, (large.shape[1] - size.width) // 2
    return np.asarray(large[down : down + size.height, right : right + size.width], np.uint8)
