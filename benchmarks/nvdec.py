"""Compare NVDEC's frames of a clip with the CPU's, on machines with an NVIDIA GPU."""

import logging
import time
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks.gpu_compare import WrongResult
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import log
from scripts.lib.frames.threads import SuspectedDamage

LEVELS = 2  # grey levels by which a picture may differ


def compared_with_cpu(clip: Path, library: ModuleType, *, is_damaged: bool = False) -> str:
    """Return the differences of NVDEC's frames from the CPU's, and the speed of both.

    Args:
        clip: a video.
        library: PyNvVideoCodec.
        is_damaged: whether the video is damaged, so that the CPU may have to read it again.

    Raises:
        WrongResult: NVDEC gives other frames, or does not decode a video that it should.
    """
    most, frames = 0, 0
    reasons = _Messages()
    try:
        with reasons, open_frames(clip, "video") as expected, open_frames(clip, "video", nvdec=library) as found:
            if found.threads == 1:
                text = f"NVDEC is NOT used: {'; '.join(reasons.texts)}"
                if is_damaged:
                    return text
                raise WrongResult(text)
            for pair in zip_longest(expected, found):
                if None in pair or pair[0][0] != pair[1][0]:
                    raise WrongResult(f"NOT the same frames, from {frames} on")
                most = max(most, int(np.abs(pair[0][1].astype(np.int16) - pair[1][1]).max()))
                frames += 1
    except SuspectedDamage as error:
        text = f"read again by the CPU after {frames} frames: {error}"
        if is_damaged:
            return text
        raise WrongResult(f"{text}, which is NOT damaged") from error
    figures = f"{frames} frames, at most {most} grey levels apart"
    if most > LEVELS:
        raise WrongResult(f"{figures}, NOT within {LEVELS}")
    return f"{figures}, within {LEVELS}; {_paces(clip, library, frames)}"


class _Messages(logging.Handler):
    """Collects the reader's messages, which name the reason if the CPU decodes; the block restores the logger."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._level = log.level

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> None:
        log.addHandler(self)
        log.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        log.removeHandler(self)
        log.setLevel(self._level)


def _paces(clip: Path, library: ModuleType, frames: int) -> str:
    seconds = []
    for decoder in (None, library):
        with open_frames(clip, "video", nvdec=decoder) as source:
            start = time.monotonic()
            for _ in source.deferred():  # not converted
                pass
            seconds.append(time.monotonic() - start)
    return f"CPU with one thread {frames / seconds[0]:.0f}, NVDEC {frames / seconds[1]:.0f} frames/s"
