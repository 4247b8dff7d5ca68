"""Measure the speed of detection without the engine's cost, or with an engine of a set pace, against decoding alone.

Each figure is a ratio of two processes that were given the same cores in the same round.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clips import write_coded_clips
from benchmarks.measure import Usage, cores, in_turns, measured_process, quiet, spread
from scripts.lib.boxes import Size
from tests.workflow import ROOT

# The codecs of the clips: name in the results, FFmpeg's encoder and its options.
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "veryfast", "crf": "23"}),
    "hevc": ("libx265", {"preset": "ultrafast", "crf": "25", "x265-params": "log-level=none"}),
}
SIZES = {"720p": Size(1280, 720), "1080p": Size(1920, 1080), "4k": Size(3840, 2160)}
PACE = 200.0  # frames per second of the simulated GPU
# For all figures of a size; with its clips and the last round, a size takes at most 15 minutes on two cores.
_SECONDS = 500.0
# Larger clips have fewer frames, at least this many, and smaller ones more, so that each takes about as long.
_PIXELS, _LEAST_FRAMES = 1920 * 1080, 100
# A long clip's frames are a multiple of this, so that the parts of two processes are equal: with a key frame each
# second, one of 450 frames has a part of 240.
_EQUAL = 300
# Media of a job, which together have as many frames as the clip for the engine with a set pace.
MEDIA = 8
# Share of the frames that the engine with a set pace gets, as it takes longer.
_PACED = 3


@dataclass(frozen=True)
class CeilingExtent:
    """How much is measured.

    Attributes:
        sizes: sizes of the clips by name.
        codecs: codecs of the clips, names of CODECS.
        counts: numbers of cores.
        frames: frames of a clip in 1080p; other clips have as many as take about as long, at most twice as many.
        network: size of the network's input.
        rounds: rounds of each comparison.
        patience: further rounds, at most, to replace disturbed ones.
        pace: frames per second of the engine with a set pace.
        on_one_core: frames of the clip that one core reads, for comparison; None for the same clip.
    """

    sizes: dict[str, Size]
    codecs: Sequence[str]
    counts: Sequence[int]
    frames: int
    network: Size
    rounds: int
    patience: int
    pace: float = PACE
    on_one_core: int | None = None


def core_counts() -> list[int]:
    """Return 1, 2 and all cores of this machine."""
    return sorted({1, min(2, cores()), cores()})


def measure_ceiling(folder: Path, extent: CeilingExtent) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the figures for each clip and number of cores.

    Args:
        folder: the folder for the clips and the step's files.
        extent: how much is measured.
    """
    for codec in extent.codecs:
        for name, size in extent.sizes.items():
            frames = max(_LEAST_FRAMES, extent.frames * _PIXELS // (size.width * size.height))
            frames = min(2 * extent.frames, frames)
            frames = -(-frames // _EQUAL) * _EQUAL if frames > _EQUAL else frames
            in_each = -(-frames // (_PACED * MEDIA))
            numbers = {"": frames, "paced": in_each * MEDIA, "media": in_each}
            if extent.on_one_core is not None:
                numbers["one_core"] = extent.on_one_core
            files = [folder / f"{codec}-{name}-{number}.mp4" for number in numbers.values()]
            write_coded_clips(dict(zip(files, numbers.values(), strict=True)), size, *CODECS[codec])
            others = dict(zip(numbers, files, strict=True))
            clip = others.pop("")
            for count in extent.counts:
                figures = _figures(others, clip, folder / f"step-{codec}-{name}", count, extent)
                yield f"{codec} {name} x{count}", figures
            for file in set(files):
                file.unlink()


def _figures(others: dict[str, Path], clip: Path, folder: Path, count: int, extent: CeilingExtent) -> dict[str, Any]:
    """Return the figures of a clip; `others` has the clips for the ways that use another one."""
    said: dict[str, list[dict[str, float]]] = {}
    ways = ("decode", "loop", "step", "paced", "media") + (("one_core",) if count > 1 else ())

    def run(way: str) -> Usage:
        kind, used_cores = ("step", 1) if way == "one_core" else (way, count)
        video = str(others.get(way, clip))
        command = [sys.executable, "-m", "benchmarks.ceiling_process", kind, video, str(folder), str(used_cores)]
        command += [str(extent.network.width), str(extent.network.height), str(extent.pace)]
        used = measured_process(command, directory=ROOT)
        figures = json.loads(used.output)
        said.setdefault(way, []).append(figures)
        return Usage(figures["wall"], figures["cpu"], used.others)

    seconds = _SECONDS / (len(extent.codecs) * len(extent.counts))
    actions = [partial(run, way) for way in ways]
    found = in_turns(actions, extent.rounds, extent.patience, seconds)
    frames, paced, media = (said[way][0]["frames"] for way in ("step", "paced", "media"))
    by_way = [dict(zip(ways, usages, strict=True)) for usages in found]
    longer = frames / said["one_core"][0]["frames"] if count > 1 else 1.0
    compared = (
        {}
        if count == 1
        else {"against_one_core": spread([each["one_core"].wall / each["step"].wall * longer for each in by_way])}
    )
    return compared | {
        "step_fps": spread([frames / each["step"].wall for each in by_way]),
        "of_decoding": spread([each["decode"].wall / each["step"].wall for each in by_way]),
        "of_bare_loop": spread([each["loop"].wall / each["step"].wall for each in by_way]),
        "of_pace": spread([paced / each["paced"].wall / extent.pace for each in by_way]),
        "of_one_media": spread([each["paced"].wall / paced / (each["media"].wall / media) for each in by_way]),
        "cpu_ms_beside_decoding": spread([(each["step"].cpu - each["decode"].cpu) / frames * 1000 for each in by_way]),
        "frames": frames,
        "rounds": len(found),
        "quiet_rounds": sum(map(quiet, found)),
    }
