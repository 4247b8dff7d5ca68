"""Measure how close detection comes to the speed of the machine: `make bench`.

Prints a table and writes benchmarks/results.json. Rounds that other programs disturb are measured again, up to a
maximum, and the results have the number of quiet rounds.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import ceiling, convert_sample
from benchmarks.case import resnet50, sample_int8, sample_network
from benchmarks.ceiling import CeilingExtent
from benchmarks.clips import repeat_clip, write_clip
from benchmarks.inside import measure_limit, measure_stages
from benchmarks.network import Shape
from benchmarks.outside import PLAIN_LOOP, measure_memory, measure_peak, measure_plain_loop, measure_start
from benchmarks.table import Figures, measured_sections
from scripts.lib.boxes import Size
from scripts.lib.files import write_json

SECTIONS = ("limit", "plain_loop", "memory", "start", "stages", "ceiling")
# What each figure should reach.
TARGETS = {
    ("limit", "sample", "ratio"): ">= 0.85",
    ("limit", "resnet50", "ratio"): ">= 0.95",
    ("plain_loop", "sample", "ratio"): ">= 1.3",
    ("plain_loop", "resnet50", "ratio"): ">= 1.05",
    ("plain_loop", "sample int8", "ratio"): ">= 2",
    ("memory", "sample", "ratio"): "<= 1.05",
    ("memory", "sample 1080p", "mb"): "<= 450",
    **{
        ("ceiling", f"{codec} {size} x{count}", figure): target
        for codec in ceiling.CODECS
        for size in ceiling.SIZES
        for count in ceiling.core_counts()
        for figure, target in {
            "of_decoding": ">= 0.7",
            "of_bare_loop": ">= 0.9",
            "of_one_media": ">= 0.95",
            **({"against_one_core": ">= 1.8"} if count == 2 else {}),
        }.items()
    },
}
SIZES = {"720p": Size(1280, 720), "1080p": Size(1920, 1080)}


@dataclass(frozen=True)
class Extent:
    """The amount of work to measure.

    Attributes:
        frames: number of frames of the 720p clip, by network.
        rounds: number of rounds of each comparison.
        patience: largest number of further rounds of a comparison, to replace disturbed ones.
        repeats: number of repetitions of measurements that are not comparisons.
        turns: numbers of repetitions of the six-second clip for the short and for the long clip of `memory`.
        longer: number of repetitions of each clip for `plain_loop`; otherwise a tenth of the time would be starting.
        ceiling: the extent of the section `ceiling`.
        shape: the size of the larger network; None for ResNet-50's.
    """

    frames: dict[str, int]
    rounds: int
    patience: int
    repeats: int
    turns: tuple[int, int]
    longer: int
    ceiling: CeilingExtent
    shape: Shape | None = None


FULL = Extent(
    {"sample": 150, "resnet50": 40},
    rounds=5,
    patience=5,
    repeats=3,
    turns=(10, 100),
    longer=2,
    ceiling=CeilingExtent(
        ceiling.SIZES, tuple(ceiling.CODECS), ceiling.core_counts(), 1800, Size(640, 384), rounds=3, patience=3
    ),
)
QUICK = Extent(
    {"sample": 8, "resnet50": 8},
    rounds=1,
    patience=0,
    repeats=1,
    turns=(1, 2),
    longer=1,
    shape=Shape((1, 1, 1, 1), 8, 16),
    ceiling=CeilingExtent({"720p": Size(160, 90)}, ["h264"], [1], 8, Size(160, 96), rounds=1, patience=0),
)


class Bench:
    """Creates the clips and networks; each section is a method that yields figures by the name of the network."""

    def __init__(self, folder: Path, extent: Extent, onnx: Path | None, peer: str) -> None:
        self._folder, self._extent, self._peer = folder, extent, peer
        self._cases = (sample_network(onnx), resnet50(folder, shape=extent.shape))
        self._int8 = None if onnx is None else sample_int8(onnx)
        self._clips = {
            case.name: write_clip(folder / f"{case.name}.mp4", SIZES["720p"], extent.frames[case.name])
            for case in self._cases
        }

    def limit(self) -> Iterator[tuple[str, Figures]]:
        """Yield the speed of the step as a fraction of the speed of its engine."""
        for case in self._cases:
            yield (
                case.name,
                measure_limit(
                    case, self._clips[case.name], self._folder / "step", self._extent.rounds, self._extent.patience
                ),
            )

    def plain_loop(self) -> Iterator[tuple[str, Figures]]:
        """Yield the step's speed compared with another program's."""
        clips = {
            name: repeat_clip(clip, self._folder / f"{name}-longer.mp4", self._extent.longer)
            for name, clip in self._clips.items()
        }
        for case in (*self._cases, self._int8):
            if case is not None and case.onnx is not None:
                yield (
                    case.name,
                    measure_plain_loop(
                        *(case, clips[case.name.split()[0]], self._folder / "step"),
                        rounds=self._extent.rounds,
                        patience=self._extent.patience,
                        peer=self._peer,
                    ),
                )

    def memory(self) -> Iterator[tuple[str, Figures]]:
        """Yield the growth of memory with a longer video, and the memory for a large one."""
        sample = self._cases[0]
        short, long = (
            repeat_clip(self._clips["sample"], self._folder / f"{turns}.mp4", turns) for turns in self._extent.turns
        )
        # A small input, so that the ten-minute clip takes less time.
        small = replace(sample, size=Size(160, 120))
        yield "sample", measure_memory(small, short, long, self._folder / "step", self._extent.repeats)
        large = write_clip(self._folder / "1080p.mp4", SIZES["1080p"], self._extent.frames["sample"])
        yield "sample 1080p", measure_peak(sample, large, self._folder / "step", self._extent.repeats)

    def start(self) -> Iterator[tuple[str, Figures]]:
        """Yield the time until a job's first batch is done."""
        for case in self._cases:
            yield (
                case.name,
                measure_start(case, self._clips[case.name], self._folder / f"start-{case.name}", self._extent.repeats),
            )

    def stages(self) -> Iterator[tuple[str, Figures]]:
        """Yield the processor time of each stage."""
        for case in self._cases:
            yield case.name, measure_stages(case, self._clips[case.name], self._folder, self._extent.repeats)

    def ceiling(self) -> Iterator[tuple[str, Figures]]:
        """Yield the speed of everything except the engine, with engines that take no processor time."""
        folder = self._folder / "ceiling"
        folder.mkdir()
        yield from ceiling.measure_ceiling(folder, self._extent.ceiling)


def main(words: Sequence[str] | None = None) -> None:
    """Measure the requested sections, and add the results to those of earlier runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], help="what to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="measure little, as a test; the figures mean nothing")
    parser.add_argument("--made", type=Path, help="folder with the networks that benchmarks.convert_sample wrote")
    parser.add_argument("--peer", default=PLAIN_LOOP, help="another program, with plain_loop.py's arguments")
    parser.add_argument(
        "--size",
        action="append",
        choices=list(ceiling.SIZES),
        help="size of a clip for `ceiling` (default: all)",
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.json"))
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = args.made
        if made is None and "plain_loop" in (args.sections or SECTIONS):
            made = Path(folder)
            convert_sample.make(made)
        extent = QUICK if args.quick else FULL
        if args.size:
            sizes = {name: ceiling.SIZES[name] for name in args.size}
            extent = replace(extent, ceiling=replace(extent.ceiling, sizes=sizes))
        bench = Bench(Path(folder), extent, made and made / "graph.onnx", args.peer)
        results = measured_sections(bench, args.sections or SECTIONS, TARGETS)
    write_json(args.results, results)


if __name__ == "__main__":
    main()
