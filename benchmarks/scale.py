"""Measure the cost of runs with many media: `make bench-scale`.

Prints a table and writes benchmarks/scale.json. Runs use a stand-in for Tator on this machine; its time is part of the
elapsed times, not of the processor times.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from benchmarks.case import sample_network
from benchmarks.clips import DISTINCT_PICTURES, write_clips, write_pictures
from benchmarks.folder_again import measure_folder_again
from benchmarks.folder_runs import PEER_VARIABLE, measure_folder_pictures, measure_folder_planning
from benchmarks.measure import Usage
from benchmarks.pictures import measure_pictures
from benchmarks.run import Run
from benchmarks.step_memory import STEPS, measure_memory
from benchmarks.table import Figures, measured_sections
from benchmarks.uploads import measure_connect, measure_uploads
from benchmarks.whole_runs import measure_clips, measure_idle, measure_planning, measure_plans_of_file
from scripts.lib.boxes import Size
from scripts.lib.files import write_json
from scripts.lib.workflow.planning.batches import batches, media_per_job
from tests.tator_server.launch import Server, running

# Pictures first: some file systems (ext4 without a journal) create files slowly for minutes after many were removed.
SECTIONS = (
    *(
        "pictures",
        "planning",
        "clips",
        "idle",
        "uploads",
        "connect",
        "folder",
        "folder_plans",
        "file_plans",
        "folder_again",
    ),
    "memory",
)
# By number of files in a folder, or media in Tator: the largest processor time to plan a run, in seconds.
PLANS = {"1000": 4, "10000": 5, "100000": 10, "1000000": 60}
# What each figure should reach.
TARGETS = {
    ("planning", "auto", "wall_seconds"): "<= 45",
    ("planning", "auto", "mb"): "<= 400",
    ("clips", "auto", "overhead_cpu_seconds"): "<= 0.15",
    ("clips", "auto", "overhead_wall_seconds"): "<= 0.15",
    ("idle", "auto", "wall_seconds"): "<= 6",
    ("pictures", "one job", "ratio"): ">= 0.8",
    ("pictures", "one job", "cpu_ratio"): ">= 0.8",
    ("pictures", "auto", "ratio"): ">= 0.8",
    **(
        {("folder", name, "peer_wall_ratio"): ">= 1.5" for name in ("640 x 480, pace 300", "1920 x 1080, pace 50")}
        if PEER_VARIABLE in os.environ
        else {}
    ),
    ("folder", "640 x 480, pace none", "ms_beside_decoding"): "<= 3",
    **{
        (section, name, "cpu_seconds"): f"<= {seconds}"
        for section in ("folder_plans", "file_plans")
        for name, seconds in PLANS.items()
    },
    **{(section, "1000000", "mb"): "<= 1000" for section in ("folder_plans", "file_plans")},
    ("folder_again", "nothing to do", "cpu_seconds"): "<= 15",
    ("folder_again", "one changed", "detect_jobs"): "<= 1",
    ("folder_again", "one changed", "detected_media"): "<= 1",
    **{("memory", step, "ratio"): "<= 1.2" for step in STEPS},
    ("uploads", "boxes", "mb_ratio"): "<= 1.1",
    ("uploads", "boxes", "second_ratio"): "<= 0.05",
    ("uploads", "boxes", "workflow_second_ratio"): "<= 0.05",
    ("uploads", "boxes", "media_written"): "<= 1",
}
# Small sizes, so that the frames themselves cost little.
CLIP, INPUT = Size(320, 240), Size(160, 120)
PICTURE = Size(640, 480)


@dataclass(frozen=True)
class Extent:
    """The amount of work to measure.

    Attributes:
        planned: number of media of a dry run, by `media.per_job`.
        clips: number of one-second clips of the complete run.
        pictures: number of pictures of 640x480.
        uploaded: number of media whose boxes are uploaded.
        boxes: number of boxes of each uploaded media.
        rounds: number of repetitions of the measurements that are repeated.
        files: numbers of files in a folder, or of media in Tator, for dry runs, by name.
        again: number of pictures in the folder of the repeated runs.
        records: numbers of media for the memory of steps: few and many.
    """

    planned: dict[int | str, int]
    clips: int
    pictures: int
    uploaded: int
    boxes: int
    rounds: int
    files: Mapping[str, int]
    again: int
    records: tuple[int, int]


FULL = Extent(
    {"auto": 10_000, 1: 1000},
    clips=1000,
    pictures=2000,
    uploaded=500,
    boxes=400,
    rounds=3,
    files={name: int(name) for name in PLANS},
    again=100_000,
    records=(10_000, 100_000),
)
QUICK = Extent(
    {"auto": 9},
    clips=1,
    pictures=1,
    uploaded=1,
    boxes=30,
    rounds=1,
    files={"1000": 9},
    again=2,
    records=(4, 4),
)


class Bench:
    """Creates media and sites; each section is a method that yields figures by name."""

    def __init__(self, folder: Path, extent: Extent) -> None:
        self._folder, self._extent = folder, extent
        self._servers = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def pictures(self) -> Iterator[tuple[str, Figures]]:
        """Yield the speed of jobs with many pictures relative to their engine."""
        media = self._folder / "pictures"
        write_pictures(media, PICTURE, self._extent.pictures)
        few = sorted(media.iterdir())[:DISTINCT_PICTURES]
        site = self._run(media, "site", PICTURE)
        ids = site.media_ids
        for name, jobs in (("one job", [ids]), ("auto", batches(ids, media_per_job("auto", len(ids))))):
            run = replace(site, folder=self._folder / f"detection-{name}")
            run.resolve()
            yield name, measure_pictures(run, sample_network(None), few, jobs)

    def planning(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of a dry run."""
        for per_job, media in self._extent.planned.items():
            folder = self._folder / f"plan-{per_job}"
            yield (
                "auto" if per_job == "auto" else f"{per_job} a job",
                measure_planning(folder, per_job, media, self._extent.rounds),
            )

    def clips(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of a run with many clips, without that of their frames."""
        run, used = self._run_of_clips
        yield "auto", measure_clips(run, replace(sample_network(None), size=INPUT), used)

    def idle(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of repeating the same run."""
        run, _ = self._run_of_clips
        yield "auto", measure_idle(run, self._extent.rounds)

    def uploads(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of uploading many boxes once and again."""
        server = self._server(None)
        file = {"path": "none", "resolution": [PICTURE.height, PICTURE.width]}
        media_ids = [
            server.add_media(f"{number}.mp4", media_files={"archival": [file]})
            for number in range(self._extent.uploaded)
        ]
        yield "boxes", measure_uploads(Run(self._folder / "uploads", server, media_ids, PICTURE), self._extent.boxes)

    def connect(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of Tator's schema for a job."""
        yield "schema", measure_connect(Run(self._folder / "any", self._server(None), [], PICTURE), self._extent.rounds)

    def folder(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of a picture of a folder."""
        runs = self._folder / "folder-runs"
        runs.mkdir()
        yield from measure_folder_pictures(runs, self._extent.pictures, self._extent.rounds)

    def folder_plans(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of planning a run on a folder's files."""
        yield from measure_folder_planning(self._folder, self._extent.files)

    def file_plans(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of planning a run on the media in tator.media_file."""
        yield from measure_plans_of_file(self._folder, self._extent.files)

    def folder_again(self) -> Iterator[tuple[str, Figures]]:
        """Yield the cost of a run on a folder's files, and of repeated runs."""
        yield from measure_folder_again(self._folder, self._extent.again)

    def memory(self) -> Iterator[tuple[str, Figures]]:
        """Yield the memory of the steps with many media, compared with few."""
        yield from measure_memory(self._folder, *self._extent.records)

    @cached_property
    def _run_of_clips(self) -> tuple[Run, Usage]:
        media = self._folder / "clips"
        write_clips(media, CLIP, self._extent.clips)
        run = self._run(media, "run", INPUT)
        return run, run.workflow()

    def _run(self, media: Path, name: str, size: Size) -> Run:
        server = self._server(media)
        return Run(self._folder / name, server, list(server.media), size)

    def _server(self, media: Path | None) -> Server:
        state = Path(tempfile.mkdtemp(dir=self._folder, prefix="site-"))
        if media is None:
            media = state / "media"
            media.mkdir()
        return self._servers.enter_context(running(media, state))


def main(words: Sequence[str] | None = None) -> None:
    """Measure the requested sections and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], help="what to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="measure little, as a test; the figures mean nothing")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("scale.json"))
    args = parser.parse_args(words)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Bench(Path(folder), QUICK if args.quick else FULL) as bench,
    ):
        results = measured_sections(bench, args.sections or SECTIONS, TARGETS)
    write_json(args.results, results)


if __name__ == "__main__":
    main()
