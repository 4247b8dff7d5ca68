"""Detection in media: from their files to each one's CSV, pictures and record."""

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.detection.media_task import FrameResult, MediaTask
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.numbering import numbering_of, with_disagreements
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.pipeline import Detector
from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.errors import MediaFault, MediaState
from scripts.lib.files import read_json, replacing, write_json
from scripts.lib.frames.parts import Part
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.shown import Shown
from scripts.lib.frames.source import FrameSource, Summary
from scripts.lib.metrics import count_media
from scripts.lib.previews import Previews
from scripts.lib.workflow import failures

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaFiles:
    """What there is of a media.

    Attributes:
        media: the downloaded file.
        record: what resolve_media wrote.
        download: what download_media wrote.
    """

    media: Path
    record: Path
    download: Path


@dataclass(frozen=True)
class DetectionOutputs:
    """The files that a media's detection becomes.

    Attributes:
        detections: its boxes, a CSV.
        outcome: the record of how they were found.
        previews: some of its pictures, see scripts/lib/previews.py.
    """

    detections: Path
    outcome: Path
    previews: Path


class MediaDetection(MediaTask):
    """One media: its boxes go to a CSV, some of its frames to a file of pictures, the rest to a record.

    A fault of the media itself is a result: the record says so, and the CSV holds the boxes found before it.
    """

    def __init__(
        self,
        media: Path | bytes,
        *,
        wanted: dict[str, Any],
        fetched: dict[str, Any],
        found: DetectionOutputs,
        search: DetectOptions,
        network: Network,
        part: Part | None = None,
    ) -> None:
        """Begin a media.

        Args:
            media: the downloaded file, or a picture's content.
            wanted: what resolve_media wrote.
            fetched: what download_media wrote; unless both say `ready`, their state and reason are this step's too.
            found: the files to write.
            search: what is asked.
            network: what is loaded when the first frame is there.
            part: of a video, to detect in only this one.
        """
        super().__init__()
        self._media, self._wanted, self._fetched = media, wanted, fetched
        self._found, self._search, self._network = found, search, network
        self._part = part
        self._album = Previews(wanted.get("fps"), search.frame_stride, clip=wanted.get("kind") != "image")
        self._files = ExitStack()
        self._rows: DetectionWriter | None = None
        self._source: FrameSource | None = None

    def open(self) -> FrameSource:
        """Open the media's file, if there is one."""
        first = self._wanted if self._wanted["state"] != "ready" else self._fetched
        if first["state"] != "ready":
            raise MediaFault(first["state"], first["reason"])
        media, self._media = self._media, b""  # held no longer than it is read: a content may be large
        shown = Shown.of_original(self._wanted, self._fetched)
        self._source = open_frames(media, self._wanted["kind"], self._search.wanted, self._part, shown)
        return self._source

    def take(self, seen: FrameResult) -> None:
        """Write a frame's boxes and look at its picture."""
        rows = self._rows or self._begun()
        numbers = self._source.numbers(seen.number) if self._source else (seen.number,)
        if len(seen.boxes):
            for number in numbers:
                rows.write(number, seen.boxes, seen.labels, seen.scores)
            self.boxes += (len(numbers) - 1) * len(seen.boxes)
        self._album.look(*seen)

    def _begun(self) -> DetectionWriter:
        stream = self._files.enter_context(replacing(self._found.detections))
        self._rows = DetectionWriter(stream, video_id(self._wanted["media_id"], self._wanted["name"] or ""))
        return self._rows

    def finish(self) -> None:
        """Close the CSV; write the pictures and, at last, the record."""
        if self._rows is None:
            self._begun()
        self._files.close()
        self._album.write(self._found.previews)
        state, reason = (self.fault.state, self.fault.reason) if self.fault else final_state(self.summary, self.boxes)
        numbering = numbering_of(self._wanted, self._fetched, self.summary)
        reason = with_disagreements(state, reason, numbering)
        seconds = max(0.001, round(sum(self.stages.values()), 3))
        summary = self.summary
        record = {
            "media_id": self._wanted["media_id"],
            "name": self._wanted["name"],
            "kind": self._wanted.get("kind"),
            "state": state,
            "reason": reason,
            "frames": {
                "decoded": summary.decoded,
                "declared": summary.declared,
                "missing": summary.missing,
                "skipped": summary.skipped,
                "used": summary.used,
                "numbers": summary.numbers,
                "read_to_end": summary.read_to_end,
                "errors": summary.errors,
                "error_count": summary.error_count,
            },
            "numbering": numbering,
            "width": summary.width,
            "height": summary.height,
            "boxes": self.boxes,
            "boxes_without_area": self.boxes_without_area,
            "threshold": self._search.keep_threshold,
            "asked": self._search.frames,
            **(self._network.made_with if self.frames else {"network": None, "engine": None}),
            "seconds": seconds,
            "stages": {stage: round(spent, 3) for stage, spent in self.stages.items()},
            "parts": 1,
        }
        if self._part is not None:
            record["seams"] = {"begins": summary.begins, "goes_on": summary.goes_on}
        if state == "failed":
            failures.note(record["media_id"], (self._found.outcome, self._found.detections, self._found.previews))
        write_json(self._found.outcome, record)
        log_outcome(record, count=self._part is None)

    def abandon(self, error: BaseException) -> None:
        """Leave no CSV."""
        self._files.__exit__(type(error), error, error.__traceback__)


def final_state(summary: Summary, boxes: int) -> tuple[MediaState, str | None]:
    """Return the state of a media that was read as far as it was asked for, and the reason for it."""
    if summary.skipped:
        _log.info("%d pictures before the first key frame cannot be decoded: left out", summary.skipped)
    if summary.damaged:
        return "damaged", summary.damage
    reason = None
    if not summary.read_to_end:
        reason = f"nothing is asked for after frame {summary.numbers - 1}; what follows was not read"
    elif not summary.used:
        reason = f"none of its {summary.decoded} frames is asked for"
    elif summary.declared not in (None, summary.decoded):
        _log.warning("%d frames decoded, %d declared", summary.decoded, summary.declared)
    return ("done" if boxes else "no detections"), reason


def log_outcome(record: dict[str, Any], *, count: bool) -> None:
    """Say what a record of detection says, in the log and, where it is to count, in the metrics."""
    frames, said = record["frames"], (record["state"], record["frames"]["used"], record["boxes"], record["seconds"])
    if count:
        count_media(*said)
    _log.info(
        "media %d: %s, %d frames decoded, %d of them through the network, %d boxes, %.1f s",
        *(record["media_id"], said[0], frames["decoded"], *said[1:]),
    )


def detect_one(
    media_files: MediaFiles,
    network_files: NetworkFiles,
    found: DetectionOutputs,
    search: DetectOptions,
    part: Part | None = None,
) -> None:
    """Detect in one media, or in one part of a video.

    Args:
        media_files: the media; unless its records say `ready`, their state and reason are this step's too.
        network_files: what to detect with.
        found: the files to write.
        search: what is asked.
        part: of a video, to detect in only this one.

    Raises:
        GraphError: the network cannot be used, or does not fit train.ini.
        DeviceError: GPU, driver or TensorRT is not there, or fails.
        SettingsError: there is no such engine, or a setting is missing that the network needs.
    """
    network = Network(network_files, search)
    one = MediaDetection(
        media_files.media,
        wanted=read_json(media_files.record),
        fetched=read_json(media_files.download),
        found=found,
        search=search,
        network=network,
        part=part,
    )
    detect_in([one], network, search)


def record_failure(
    fault: MediaFault, wanted: dict[str, Any], found: DetectionOutputs, network: Network, part: Part | None = None
) -> None:
    """Write the files of a media, or of a part of one, in which detection failed.

    Args:
        fault: why.
        wanted: what resolve_media wrote.
        found: the files to write; what is there of them is replaced.
        network: what was to detect, and what it was asked.
        part: of a video.
    """
    search = network.search
    one = MediaDetection(b"", wanted=wanted, fetched={}, found=found, search=search, network=network, part=part)
    one.fault = fault
    one.finish()


def record_failed_job(
    fault: MediaFault,
    *,
    media_files: MediaFiles,
    network_files: NetworkFiles,
    found: DetectionOutputs,
    search: DetectOptions,
    **_: object,
) -> None:
    """Write the files of a media whose job failed; the arguments are those of detect_one, and others of the job."""
    record_failure(fault, read_json(media_files.record), found, Network(network_files, search))


def detect_in(media: Iterable[MediaDetection], network: Network, search: DetectOptions, expected: int = 1) -> None:
    """Detect in media one after another, with one network; each is written down soon after its last frame.

    Args:
        media: taken one by one while the ones before are worked on.
        network: what to detect with.
        search: what is asked.
        expected: how many media there will be.
    """
    detector = Detector(
        network.load,
        size=network.size,
        resize=network.resize,
        batch_size=search.batch_size,
        threshold=search.keep_threshold,
        name=network.name,
    )
    detector.run(media, expected)
