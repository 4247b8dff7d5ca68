"""Detection in media: from their files to each one's CSV, pictures and record."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import IO

from scripts.lib.detection.media_frames import MediaFrames
from scripts.lib.detection.media_task import Counters, FrameInput, FrameResult, MediaTask, ResultOutput, TileCounters
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.numbering import numbering_of, with_disagreements
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.outcome import final_state, log_outcome
from scripts.lib.detection.pipeline import Detector
from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.errors import MediaFault
from scripts.lib.files import replacing, write_bytes
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.frames.parts import Part
from scripts.lib.frames.threads import SuspectedDamage
from scripts.lib.previews import Previews
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import DetectionRecord, DownloadRecord, FrameCounts, MediaRecord, Seams
from scripts.lib.records.detection import TilesUsed
from scripts.lib.tiles import Tiling
from scripts.lib.workflow.jobs import failures


@dataclass(frozen=True)
class MediaFiles:
    """The files and records of a media.

    Attributes:
        record: the record of resolve_media or list_media.
        media: the downloaded file.
        download: the record of download_media.
        listing: the listing of a run on a folder, instead of these two.
    """

    record: Path
    media: Path | None = None
    download: Path | None = None
    listing: Path | None = None


@dataclass(frozen=True)
class DetectionOutputs:
    """The output files of a media.

    Attributes:
        detections: CSV of the media's boxes.
        outcome: the record of how they were found.
        previews: file of some of the media's pictures, see scripts/lib/previews.py.
    """

    detections: Path
    outcome: Path
    previews: Path


class MediaResults(ResultOutput):
    """Writes the files of a media: boxes to a CSV, some of its frames to a file of pictures, the rest to a record.

    A fault of the media itself is a result: it is in the record, and the CSV has the boxes found before it.
    """

    def __init__(
        self,
        outputs: DetectionOutputs,
        *,
        wanted: MediaRecord,
        fetched: DownloadRecord | None,
        network: Network,
        part: Part | None = None,
        synced: bool = True,
    ) -> None:
        """Store the arguments; nothing is written yet.

        Args:
            outputs: the files to write.
            wanted: the record of resolve_media.
            fetched: the record of download_media; None if unknown.
            network: the network, with the options of detection.
            part: the part of a video that is read; None for the whole media.
            synced: whether to flush each file to its disk before it is renamed, see files.replacing.
        """
        options = network.options
        self._outputs, self._wanted, self._fetched = outputs, wanted, fetched
        self._network, self._part, self._synced = network, part, synced
        self._stride = options.frame_stride
        self._album = self._new_album()
        self._files = ExitStack()
        self._rows: DetectionWriter | None = None

    def _new_album(self) -> Previews:
        return Previews(self._wanted.fps, self._stride, clip=self._wanted.kind != "image")

    def restart(self) -> None:
        """Discard the boxes and pictures."""
        self.abandon(SuspectedDamage("detection in the media starts again"))
        self._files, self._rows = ExitStack(), None
        self._album = self._new_album()

    def take(self, found: FrameResult) -> None:
        """Write a frame's boxes with each of its numbers, and offer its picture to the album."""
        rows = self._rows or self._open_rows()
        if len(found.boxes):
            for number in found.numbers:
                rows.write(number, found.boxes, found.labels, found.scores)
        self._album.add_frame(found.number, found.picture, found.media, found.boxes, found.labels, found.scores)

    def _open_rows(self) -> DetectionWriter:
        opened = _buffered if self._wanted.kind == "image" else replacing
        stream = self._files.enter_context(opened(self._outputs.detections, synced=self._synced))
        self._rows = DetectionWriter(stream, video_id(self._wanted.media_id, self._wanted.name or ""))
        return self._rows

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the files, and log the outcome."""
        record = self._write(frames, counters)
        log_outcome(record, count=self._part is None)

    def _write(self, frames: FrameInput, counters: Counters) -> DetectionRecord:
        """Close the CSV, write the pictures and then the record; return the record."""
        if self._rows is None:
            self._open_rows()
        self._files.close()
        self._album.write(self._outputs.previews, synced=self._synced)
        record = self._record(frames, counters)
        if record.state == "failed":
            failures.note(record.media_id, (self._outputs.outcome, self._outputs.detections, self._outputs.previews))
        write_record(self._outputs.outcome, record, synced=self._synced)
        return record

    def _record(self, frames: FrameInput, counters: Counters) -> DetectionRecord:
        fault, summary, options = frames.fault, frames.summary, self._network.options
        state, reason = (fault.state, fault.reason) if fault else final_state(summary, counters.boxes)
        numbering = numbering_of(self._wanted, self._fetched, summary)
        return DetectionRecord(
            media_id=self._wanted.media_id,
            name=self._wanted.name,
            kind=self._wanted.kind,
            state=state,
            reason=with_disagreements(state, reason, numbering),
            frames=FrameCounts(
                decoded=summary.decoded,
                declared=summary.declared,
                missing=summary.missing,
                skipped=summary.skipped,
                missing_by_time=summary.missing_by_time or None,
                first_gap=summary.first_gap or None,
                used=summary.used,
                numbers=summary.numbers,
                read_to_end=summary.read_to_end,
                errors=summary.errors,
                error_count=summary.error_count,
            ),
            numbering=numbering,
            width=summary.width,
            height=summary.height,
            boxes=counters.boxes,
            boxes_without_area=counters.boxes_without_area,
            threshold=options.keep_threshold,
            asked=options.frames,
            tiles=tiles_used(self._network.tiling, counters.tiles) if counters.frames else None,
            network=self._network.used if counters.frames else None,
            engine=self._network.engine_used if counters.frames else None,
            seconds=max(0.001, round(sum(counters.stages.values()), 3)),
            stages={stage: round(spent, 3) for stage, spent in counters.stages.items()},
            parts=1,
            seams=None
            if self._part is None
            else Seams(head_hashes=summary.head_hashes, tail_hashes=summary.tail_hashes),
        )

    def abandon(self, error: BaseException) -> None:
        """Remove the unfinished CSV."""
        self._files.__exit__(type(error), error, error.__traceback__)


@contextmanager
def _buffered(path: Path, *, synced: bool) -> Iterator[IO[str]]:
    """Buffer a text, and write it if the block succeeds: so only the writer's thread opens files for pictures."""
    text = StringIO()
    yield text
    write_bytes(path, text.getvalue().encode(), synced=synced)


def tiles_used(tiling: Tiling | None, counted: TileCounters) -> TilesUsed | None:
    """Return the record of the tiles; None if tiles were not requested."""
    if tiling is None:
        return None
    width, height = tiling.size
    return TilesUsed(width=width, height=height, overlap=tiling.overlap, **asdict(counted))


def detect_one(
    media_files: MediaFiles,
    network_files: NetworkFiles,
    outputs: DetectionOutputs,
    options: DetectOptions,
    part: Part | None = None,
) -> None:
    """Detect in one media, or in one part of a video.

    Args:
        media_files: the media; unless its records are `ready`, their state and reason become those of detection.
        network_files: the network's files.
        outputs: the files to write.
        options: the options of detection.
        part: the part of a video to detect in; None for the whole media.

    Raises:
        GraphError: the network cannot be used, or does not fit train.ini.
        DeviceError: GPU, driver or TensorRT is missing or fails.
        SettingsError: there is no such engine, or a setting is missing that the network needs.
    """
    network = Network(network_files, options)
    wanted = read_record(MediaRecord, media_files.record)
    media, fetched = media_file(wanted, media_files.media, media_files.download, media_files.listing)
    frames = MediaFrames(media, wanted, fetched, options.wanted, part, threads=options.threads)
    results = MediaResults(outputs, wanted=wanted, fetched=fetched, network=network, part=part)
    detect_in([MediaTask(frames, results)], network)


def record_failure(
    fault: MediaFault, wanted: MediaRecord, outputs: DetectionOutputs, network: Network, part: Part | None = None
) -> None:
    """Write the files of a media, or of a part of one, in which detection failed.

    Args:
        fault: the reason of the failure.
        wanted: the record of resolve_media.
        outputs: the files to write; existing files are replaced.
        network: the network, with the options of detection.
        part: the part of a video; None for the whole media.
    """
    frames = MediaFrames(b"", wanted, None, network.options.wanted, part)
    frames.fault = fault
    MediaResults(outputs, wanted=wanted, fetched=None, network=network, part=part).finish(frames, Counters())


def record_failed_job(
    fault: MediaFault,
    *,
    media_files: MediaFiles,
    network_files: NetworkFiles,
    outputs: DetectionOutputs,
    options: DetectOptions,
    **_: object,
) -> None:
    """Write the files of a media whose job failed; the arguments are those of detect_one, others are ignored."""
    record_failure(fault, read_record(MediaRecord, media_files.record), outputs, Network(network_files, options))


def detect_in(media: Iterable[MediaTask], network: Network, expected: int = 1, processes: int = 0) -> None:
    """Detect in media with one network; write the results of each soon after its last frame.

    Args:
        media: the media or parts, taken one by one while the ones before are processed.
        network: the network, with the options of detection.
        expected: the number of media.
        processes: the number of processes that read parts of videos.
    """
    options = network.options
    detector = Detector(
        network.load,
        size=network.size,
        resize=network.resize,
        batch_size=options.batch_size,
        threshold=options.keep_threshold,
        name=network.name,
        threads=options.threads,
        processes=processes,
        tiling=network.tiling,
    )
    detector.run(media, expected)
