"""Compare NVDEC's frames of a clip with the CPU's, on machines with an NVIDIA GPU."""

import time
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import numpy as np

from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.threads import SuspectedDamage

LEVELS = 2  # grey levels by which a picture may differ


def compared_with_cpu(clip: Path, library: ModuleType) -> str:
    """Return the differences of NVDEC's frames from the CPU's, and the speed of both.

    Args:
        clip: a video.
        library: PyNvVideoCodec.
    """
    most, frames = 0, 0
    try:
        with open_frames(clip, "video") as expected, open_frames(clip, "video", nvdec=library) as found:
            if found.threads == 1:
                return "the CPU decodes it, for a reason that the log says"
            for pair in zip_longest(expected, found):
                if None in pair or pair[0][0] != pair[1][0]:
                    return f"NOT the same frames, from {frames} on"
                most = max(most, int(np.abs(pair[0][1].astype(np.int16) - pair[1][1]).max()))
                frames += 1
    except SuspectedDamage as error:
        return f"read again by the CPU after {frames} frames: {error}"
    held = "within" if most <= LEVELS else "NOT within"
    return f"{frames} frames, at most {most} grey levels apart, {held} {LEVELS}; {_paces(clip, library, frames)}"


def _paces(clip: Path, library: ModuleType, frames: int) -> str:
    seconds = []
    for decoder in (None, library):
        with open_frames(clip, "video", nvdec=decoder) as source:
            start = time.monotonic()
            for _ in source.deferred():  # not converted
                pass
            seconds.append(time.monotonic() - start)
    return f"CPU with one thread {frames / seconds[0]:.0f}, NVDEC {frames / seconds[1]:.0f} frames/s"
