"""The state of a run: which media are done, running and failed, how fast it is, and how long it will take."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path

from scripts.lib.finished_run import FinishedRun
from scripts.lib.progress import time_left
from scripts.lib.records.record_files import Record, read_record
from scripts.lib.watching.run_locks import RunLocks
from scripts.lib.watching.running_jobs import RunningJob, running_jobs
from scripts.lib.watching.watched_records import WatchedDetection, WatchedMedia, WatchedTrackUpload, WatchedUpload

_GOOD_STATES = ("done", "no detections", "skipped")
# The states of an upload after which the state of the media is that of the upload.
_NOT_UPLOADED = ("failed", "missing")


@dataclass
class WatchedRun:
    """The state of a run, read from its folder; `update` reads new files.

    Attributes:
        folder: the run's folder.
        records: the records of resolve_media or list_media, by media id.
        outcomes: the records of detect, by media id.
        uploads: the records of upload_detections, by media id.
        track_uploads: the records of upload_tracks, by media id; empty if tracks are not uploaded.
        jobs: the running detection jobs.
        part_frames: frames of finished parts of videos whose other parts are not done, by media id.
        ended: whether the run has ended.
    """

    folder: Path
    records: dict[str, WatchedMedia] = field(default_factory=dict)
    outcomes: dict[str, WatchedDetection] = field(default_factory=dict)
    uploads: dict[str, WatchedUpload] = field(default_factory=dict)
    track_uploads: dict[str, WatchedTrackUpload] = field(default_factory=dict)
    jobs: list[RunningJob] = field(default_factory=list)
    part_frames: Counter[str] = field(default_factory=Counter)
    ended: bool = False

    def __post_init__(self) -> None:
        """Prepare for reading the locks."""
        self._locks = RunLocks(self.folder)

    def update(self) -> None:
        """Read the locks, and the records and logs that are new."""
        was_locked = self._locks.exist
        if self._locks.read():
            for known in (self.records, self.outcomes, self.uploads, self.track_uploads):
                known.clear()
        self._read_new(WatchedMedia, self.records, "resources/records")
        self._read_new(WatchedDetection, self.outcomes, "results/detections")
        self._read_new(WatchedUpload, self.uploads, "results/uploads")
        self._read_new(WatchedTrackUpload, self.track_uploads, "results/track_uploads")
        self.jobs = list(running_jobs(self.folder, self.records))
        self.part_frames = self._frames_of_parts()
        if self._locks.exist:
            self.ended = False
        elif was_locked:
            self.ended = True
        elif not self.ended and self._is_summarized():
            self.ended = True
            self._leave_out_earlier_media()

    def _read_new(self, kind: type[Record], known: dict[str, Record], folder: str) -> None:
        name = folder.rpartition("/")[2]
        for path in self._files_of_media(folder):
            try:
                if path.stem not in known and self._locks.is_of_run(path, name):
                    known[path.stem] = read_record(kind, path)
            except FileNotFoundError:  # Snakemake removes the results of a job that it starts again
                continue

    def _files_of_media(self, folder: str) -> Iterator[Path]:
        """Yield the JSON files of single media in a folder; in runs of many media they are in sub-folders."""
        path = self.folder / folder
        return chain(path.glob("*.json"), path.glob("[0-9][0-9][0-9]/*.json"))

    def _frames_of_parts(self) -> Counter[str]:
        found = Counter[str]()
        for path in (self.folder / "resources" / "parts").glob("*/*.json"):
            try:
                if path.parent.name not in self.outcomes:
                    found[path.parent.name] += read_record(WatchedDetection, path).frames.used
            except FileNotFoundError:  # the parts have just been joined
                continue
        return found

    def _is_summarized(self) -> bool:
        """Return whether the summary is newer than all results."""
        summary = self.folder / "results" / "summary.json"
        try:
            folders = ("detections", "uploads", "track_uploads")
            newest = max(
                path.stat().st_mtime for folder in folders for path in self._files_of_media(f"results/{folder}")
            )
            return summary.stat().st_mtime >= newest
        except (FileNotFoundError, ValueError):
            return False

    def _leave_out_earlier_media(self) -> None:
        """Leave out media of earlier runs, which only the summary tells from those of the run once no lock does."""
        media_ids = set(map(str, FinishedRun.at(self.folder).media_ids))
        for known in (self.records, self.outcomes, self.uploads, self.track_uploads):
            for media_id in known.keys() - media_ids:
                del known[media_id]

    @property
    def is_locked(self) -> bool:
        """Whether Snakemake held the folder's lock at the last update."""
        return self._locks.exist

    @property
    def is_on_folder(self) -> bool:
        """Whether this is a run on media.folder, whose uploads are not counted."""
        return any(record.local is not None for record in self.records.values())

    @property
    def failed(self) -> int:
        """The number of media that failed; damaged ones are not among them."""
        return sum(self._failed(media_id, outcome) for media_id, outcome in self.outcomes.items())

    def _failed(self, media_id: str, outcome: WatchedDetection) -> bool:
        uploads = (self.uploads.get(media_id), self.track_uploads.get(media_id))
        if any(upload and upload.state in _NOT_UPLOADED for upload in uploads):
            return True
        return outcome.state not in (*_GOOD_STATES, "damaged")

    @property
    def damaged(self) -> int:
        """The number of damaged media; whether they failed depends on media.on_damaged."""
        return sum(outcome.state == "damaged" for outcome in self.outcomes.values())

    @property
    def rate(self) -> float:
        """Frames per second: of the running jobs or, until their logs state it, of the jobs that have ended."""
        running = sum(job.rate for job in self.jobs)
        seconds = sum(each.seconds for each in self.outcomes.values() if each.frames.used)
        frames = sum(each.frames.used for each in self.outcomes.values())
        return running or (frames / seconds if seconds else 0.0)

    def remaining(self) -> timedelta | None:
        """Return an estimate of the remaining time of detection; None while it is unknown."""
        share, whole = self._share_used(), {job.media_id: job for job in self.jobs if not job.is_part}
        frames = 0.0
        for media_id, record in self.records.items():
            if media_id in self.outcomes or record.state != "ready":
                continue
            job = whole.get(media_id)
            if job and job.expected is not None:
                frames += job.expected
            elif record.kind != "video":
                frames += 1
            elif record.num_frames is not None:
                frames += record.num_frames * share
            else:
                return None  # a file of a folder may state its number of frames only once it is opened
        left = frames - sum(job.frames for job in self.jobs) - self.part_frames.total()
        return time_left(round(max(left, 0)), self.rate)

    def _share_used(self) -> float:
        """Return which share of the videos' frames is used, as settings such as detect.frame_stride leave out some."""
        used = {media_id: outcome.frames.used for media_id, outcome in self.outcomes.items()}
        used |= {job.media_id: job.expected or 0 for job in self.jobs if job.media_id and job.rate and not job.is_part}
        frames = {
            media_id: record.num_frames
            for media_id in used
            if used[media_id]
            and (record := self.records.get(media_id))
            and record.kind == "video"
            and record.num_frames
        }
        return sum(used[media_id] for media_id in frames) / sum(frames.values()) if frames else 1.0

    def line(self) -> str:
        """Return the progress in one line."""
        frames = sum(each.frames.used for each in self.outcomes.values()) + sum(job.frames for job in self.jobs)
        parts = [
            f"{len(self.outcomes)} of {len(self.records)} media detected",
            *([] if self.is_on_folder else [f"{len(self.uploads)} uploaded or reported"]),
            f"{len(self.jobs)} running",
            f"{self.failed} failed",
            *([f"{self.damaged} damaged"] if self.damaged else []),
            f"{frames + self.part_frames.total()} frames",
        ]
        if self.track_uploads:
            parts.insert(2, f"{sum(each.tracks for each in self.track_uploads.values())} tracks in Tator")
        if self.rate:
            parts.append(f"{self.rate:.1f} frames/s")
        remaining = self.remaining()
        if remaining is not None and len(self.outcomes) < len(self.records):
            parts.append(f"about {remaining} left")
        return ", ".join(parts)
