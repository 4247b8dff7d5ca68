"""Watch a run: how many media are done, running and failed, how fast it is, and how long it will take.

    python -m scripts.commands.watch_run [FOLDER]

Only reads the run's files, so it works during a run on this machine or on a shared file system, and after a run. On a
terminal it updates one display; otherwise it writes a line every 30 seconds. It counts the media of the run that
holds Snakemake's lock, and ends when Snakemake has removed that lock.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scripts.lib import command_line
from scripts.lib.display_text import short
from scripts.lib.errors import PipelineError
from scripts.lib.record_files import Record, read_record

_SPEED = re.compile(
    r"(?<!\d)(\d{1,12})(?: of (?:about )?(\d{1,12}))? frames(?: \(\d{1,3} %\))?, ([0-9.]{1,20}) frames/s"
)
_GOOD_STATES = ("done", "no detections", "skipped")
# The file that a job of each rule writes when it ends; the job's log is named by the first of its media.
_OUTPUT_OF_RULE = {
    "detect": "results/detections/{media_id}.json",
    "join_parts": "results/detections/{media_id}.json",
    "detect_part": "resources/parts/{media_id}/{part}.json",
    "detect_many": "resources/batches/detected_{media_id}.json",
}
_RESULT = re.compile(r"(?:^|/)results/detections/(\d+)\.json$", re.MULTILINE)
# A job whose log was not written to for this long was killed.
_FRESH_SECONDS = 60.0
_ROWS, _BAR = 15, 60


# Only the keys that are shown are read, since a run may have records of an earlier version.
@dataclass(frozen=True, kw_only=True)
class WatchedMedia:
    """The record of resolve_media or list_media; `local` is set in a run on media.folder."""

    state: str
    name: str | None
    kind: str | None = None
    num_frames: int | None = None
    local: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class WatchedFrames:
    """The number of a media's frames that went through the network."""

    used: int


@dataclass(frozen=True, kw_only=True)
class WatchedDetection:
    """The record of detect."""

    state: str
    frames: WatchedFrames
    seconds: float


@dataclass(frozen=True, kw_only=True)
class WatchedUpload:
    """The record of upload_detections."""

    state: str


@dataclass(frozen=True, kw_only=True)
class WatchedTrackUpload:
    """The record of upload_tracks; `tracks`, their number in Tator, is set if they were verified."""

    tracks: int = 0


@dataclass(frozen=True)
class Job:
    """A running detection job, from its log: the media's name, frames done and expected, frames per second."""

    name: str
    frames: int = 0
    expected: int | None = None
    rate: float = 0.0


@dataclass
class Run:
    """The state of a run, read from its folder; `update` reads new files.

    Attributes:
        folder: the run's folder.
        records: the records of resolve_media or list_media, by media id.
        outcomes: the records of detect, by media id.
        uploads: the records of upload_detections, by media id.
        track_uploads: the records of upload_tracks, by media id; empty if tracks are not uploaded.
        jobs: the running detection jobs.
        locked: whether Snakemake holds the folder's lock.
        unlocked: whether the folder was locked before and is not any more.
        media_ids: the media of the run that holds the lock; None if no lock was seen.
        outdated: media whose results the run makes again, and the time when the run began.
    """

    folder: Path
    records: dict[str, WatchedMedia] = field(default_factory=dict)
    outcomes: dict[str, WatchedDetection] = field(default_factory=dict)
    uploads: dict[str, WatchedUpload] = field(default_factory=dict)
    track_uploads: dict[str, WatchedTrackUpload] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    locked: bool = False
    unlocked: bool = False
    media_ids: set[str] | None = None
    outdated: tuple[set[str], float] = (set(), 0.0)

    def update(self) -> None:
        """Read the locks, and the records and logs that are new."""
        self._read_locks()
        self._read_new(WatchedMedia, self.records, "resources/records")
        self._read_new(WatchedDetection, self.outcomes, "results/detections")
        self._read_new(WatchedUpload, self.uploads, "results/uploads")
        self._read_new(WatchedTrackUpload, self.track_uploads, "results/track_uploads")
        self.jobs = list(self._running())

    def _read_new(self, kind: type[Record], known: dict[str, Record], folder: str) -> None:
        for path in self._files_of_media(folder):
            if path.stem not in known and self._is_of_this_run(path):
                known[path.stem] = read_record(kind, path)

    def _files_of_media(self, folder: str) -> Iterator[Path]:
        """Yield the JSON files of single media in a folder; in runs of many media they are in sub-folders."""
        path = self.folder / folder
        return chain(path.glob("*.json"), path.glob("[0-9][0-9][0-9]/*.json"))

    def _read_locks(self) -> None:
        """Read from Snakemake's locks whether it is running, for which media, and which results it makes again."""
        locks = list((self.folder / ".snakemake" / "locks").glob("*"))
        before, self.locked = self.locked, bool(locks)
        self.unlocked = not self.locked and (before or self.unlocked)
        if self.locked and not before:
            try:
                found = {lock: set(_RESULT.findall(lock.read_text(encoding="utf-8"))) for lock in locks}
                started = min(lock.stat().st_mtime for lock in locks)
            except FileNotFoundError:  # the run has just ended
                return
            self.media_ids = set().union(*found.values()) or None
            outdated = set().union(*(ids for lock, ids in found.items() if lock.name.endswith(".output.lock")))
            self.outdated = outdated, started
            for known in (self.records, self.outcomes, self.uploads, self.track_uploads):
                known.clear()

    def _is_of_this_run(self, path: Path) -> bool:
        """Return whether a media's file is a result of the current run, or an earlier one that the run keeps."""
        outdated, started = self.outdated
        if self.media_ids is not None and path.stem not in self.media_ids:
            return False
        return "records" in path.parts[-3:-1] or path.stem not in outdated or path.stat().st_mtime >= started

    def _running(self) -> Iterator[Job]:
        for log in (log for rule in _OUTPUT_OF_RULE for log in (self.folder / "logs" / rule).glob("*.log")):
            media_id, _, part = log.stem.partition(".")
            output = self.folder / _OUTPUT_OF_RULE[log.parent.name].format(media_id=media_id, part=part)
            record = self.records.get(media_id)
            if not output.exists() and time.time() - log.stat().st_mtime < _FRESH_SECONDS:
                name = short((record.name if record else None) or f"media {media_id}", 36)
                if log.parent.name == "detect_many":
                    yield Job(f"{name} and others")
                    continue
                name += f", part {part}" if part else ""
                lines = _SPEED.findall(log.read_text(encoding="utf-8", errors="replace"))
                expected = record.num_frames if record else None
                if lines:
                    frames, total, rate = lines[-1]
                    yield Job(name, int(frames), int(total) if total else expected, float(rate))
                else:
                    yield Job(name, 0, expected)

    @property
    def is_on_folder(self) -> bool:
        """Whether this is a run on media.folder, whose uploads are not counted."""
        return any(record.local is not None for record in self.records.values())

    @property
    def failed(self) -> int:
        """The number of media without a result."""
        verified = {media_id for media_id, upload in self.uploads.items() if upload.state == "verified"}
        failed = {media_id for media_id, outcome in self.outcomes.items() if outcome.state not in _GOOD_STATES}
        return len(failed - verified)

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        if self.locked:
            return False
        summary = self.folder / "results" / "summary.json"
        ended, last_step = (self.outcomes, "detections") if self.is_on_folder else (self.uploads, "uploads")
        newest = max((path.stat().st_mtime for path in self._files_of_media(f"results/{last_step}")), default=0.0)
        return self.unlocked or (bool(self.records) and len(ended) == len(self.records) and (
            summary.exists() and summary.stat().st_mtime >= newest
        ))  # fmt: skip

    @property
    def rate(self) -> float:
        """Frames per second: of the running jobs or, until their logs state it, of the jobs that have ended."""
        running = sum(job.rate for job in self.jobs)
        seconds = sum(each.seconds for each in self.outcomes.values() if each.frames.used)
        frames = sum(each.frames.used for each in self.outcomes.values())
        return running or (frames / seconds if seconds else 0.0)

    def remaining(self) -> timedelta | None:
        """Return an estimate of the remaining time of detection; None while it is unknown."""
        waiting = [
            record
            for media_id, record in self.records.items()
            if media_id not in self.outcomes and record.state == "ready"
        ]
        if any(record.kind == "video" and record.num_frames is None for record in waiting):
            return None  # a file of a folder may state its number of frames only once it is opened
        frames = sum(record.num_frames or 1 for record in waiting) - sum(job.frames for job in self.jobs)
        return timedelta(seconds=round(max(frames, 0) / self.rate)) if self.rate else None

    def line(self) -> str:
        """Return the progress in one line."""
        frames = sum(each.frames.used for each in self.outcomes.values()) + sum(job.frames for job in self.jobs)
        parts = [
            f"{len(self.outcomes)} of {len(self.records)} media detected",
            *([] if self.is_on_folder else [f"{len(self.uploads)} uploaded or reported"]),
            f"{len(self.jobs)} running",
            f"{self.failed} failed",
            f"{frames} frames",
        ]
        if self.track_uploads:
            parts.insert(2, f"{sum(each.tracks for each in self.track_uploads.values())} tracks in Tator")
        if self.rate:
            parts.append(f"{self.rate:.1f} frames/s")
        remaining = self.remaining()
        if remaining is not None and len(self.outcomes) < len(self.records):
            parts.append(f"about {remaining} left")
        return ", ".join(parts)


def _picture(run: Run) -> Group:
    """Return the progress for a terminal."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(run.jobs), header_style="dim")
    for column in ("media", "", "frames", "frames/s"):
        table.add_column(column, justify="left" if column in ("media", "") else "right")
    for job in run.jobs[:_ROWS]:
        expected = f" of {job.expected}" if job.expected else ""
        bar = ProgressBar(job.expected or None, min(job.frames, job.expected or 0), width=24, pulse=not job.expected)
        table.add_row(Text(job.name), bar, f"{job.frames}{expected}", f"{job.rate:.1f}" if job.rate else "")
    whole = Table.grid()  # in a table, as a bar alone does not end its line
    whole.add_row(ProgressBar(max(len(run.records), 1), len(run.outcomes), width=_BAR))
    return Group(whole, Text(run.line(), style="red" if run.failed else ""), table)


def watch_run(folder: Path, console: Console, pause: float, once: bool = False) -> None:
    """Show a run's progress until it ends.

    Args:
        folder: the run's folder.
        console: the console to print to.
        pause: seconds between two updates.
        once: whether to print once and return.

    Raises:
        PipelineError: there is no such folder.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder}: is not a folder; expected that of a run")
    run = Run(folder)
    run.update()
    if once or not console.is_terminal:
        console.print(run.line(), soft_wrap=True, highlight=False)
        while not once and not run.ended:
            time.sleep(pause)
            run.update()
            console.print(run.line(), soft_wrap=True, highlight=False)
        return
    with Live(_picture(run), console=console, auto_refresh=False) as live:
        while not run.ended:
            time.sleep(pause)
            run.update()
            live.update(_picture(run), refresh=True)


def main(arguments: list[str] | None = None) -> int:
    """Watch the run that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.commands.watch_run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="the run's folder (the current one)")
    parser.add_argument("--once", action="store_true", help="print the progress once, and end")
    options = parser.parse_args(arguments)
    console = Console()
    pause = 1.0 if console.is_terminal else 30.0
    try:
        return command_line.run(lambda: watch_run(options.folder, console, pause, options.once))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
