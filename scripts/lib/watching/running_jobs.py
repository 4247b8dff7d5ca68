"""Find the running detection jobs, and how far they are, by their logs."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.text.display_text import short
from scripts.lib.watching.watched_records import WatchedMedia

_SPEED = re.compile(
    r"(?<!\d)(\d{1,12})(?: of (?:about )?(\d{1,12}))? frames(?: \(\d{1,3} %\))?, ([0-9.]{1,20}) frames/s"
)
# The file that a job of each rule writes when it ends; the job's log is named by the first of its media.
_OUTPUT_OF_RULE = {
    "detect": "results/detections/{media_id}.json",
    "join_parts": "results/detections/{media_id}.json",
    "detect_part": "resources/parts/{media_id}/{part}.json",
    "detect_many": "resources/batches/detected_{media_id}.json",
}
# A job whose log was not written to for this long was killed.
_FRESH_SECONDS = 60.0


@dataclass(frozen=True)
class RunningJob:
    """A running detection job.

    Attributes:
        name: its media's name.
        media_id: its media; None if it has several.
        is_part: whether it detects in a part of the media only.
        frames: number of frames that are done.
        expected: number of all its frames; None if it is unknown.
        rate: frames per second; 0 if it is unknown.
    """

    name: str
    media_id: str | None = None
    is_part: bool = False
    frames: int = 0
    expected: int | None = None
    rate: float = 0.0


def running_jobs(folder: Path, records: Mapping[str, WatchedMedia]) -> Iterator[RunningJob]:
    """Yield the running detection jobs of the run in a folder, whose media have these records."""
    for log in (log for rule in _OUTPUT_OF_RULE for log in (folder / "logs" / rule).glob("*.log")):
        try:
            found = _running_job(folder, log, records)
        except FileNotFoundError:  # Snakemake removes the log of a job that it starts again
            continue
        if found:
            yield found


def _running_job(folder: Path, log: Path, records: Mapping[str, WatchedMedia]) -> RunningJob | None:
    media_id, _, part = log.stem.partition(".")
    output = folder / _OUTPUT_OF_RULE[log.parent.name].format(media_id=media_id, part=part)
    if output.exists() or time.time() - log.stat().st_mtime >= _FRESH_SECONDS:
        return None
    record = records.get(media_id)
    name = short((record.name if record else None) or f"media {media_id}", 36)
    if log.parent.name == "detect_many":
        return RunningJob(f"{name} and others")
    if part:
        name += f", part {part}"
    frames, total, rate = (_SPEED.findall(log.read_text(encoding="utf-8", errors="replace")) or [("0", "", "0")])[-1]
    expected = int(total) if total else record.num_frames if record and not part else None
    return RunningJob(name, media_id, bool(part), int(frames), expected, float(rate))
