"""The results of a media: its files, and the record of how they were made."""

from collections.abc import Sequence
from dataclasses import asdict

from scripts.lib.detection.media_task import Counters, FrameInput, ResultOutput, TileCounters
from scripts.lib.detection.network import Network
from scripts.lib.detection.numbering import numbering_of, with_disagreements
from scripts.lib.detection.outcome import final_state, log_outcome
from scripts.lib.detection.result_files import DetectionOutputs, ResultFiles
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.parts import Part
from scripts.lib.preprocessing.tiles import Tiling
from scripts.lib.records import DetectionRecord, DownloadRecord, FrameCounts, MediaRecord, Seams
from scripts.lib.records.detection import TilesUsed
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.jobs import failures


class OutcomeRecord:
    """Writes the record of a media's detection.

    A fault of the media itself is a result: it is in the record, and the CSV has the boxes found before it.
    """

    def __init__(
        self,
        outputs: DetectionOutputs,
        wanted: MediaRecord,
        fetched: DownloadRecord | None,
        network: Network,
        *,
        part: Part | None = None,
        synced: bool = True,
    ) -> None:
        """Store the arguments; nothing is written yet.

        Args:
            outputs: the files of the media; only the record is written.
            wanted: the record of resolve_media.
            fetched: the record of download_media; None if unknown.
            network: the network, with the options of detection.
            part: the part of a video that is read; None for the whole media.
            synced: whether to flush the file to its disk before it is renamed, see files.replacing.
        """
        self._outputs, self._wanted, self._fetched = outputs, wanted, fetched
        self._network, self._part, self._synced = network, part, synced

    def write(self, frames: FrameInput, counters: Counters) -> DetectionRecord:
        """Write the record, after the other files, and return it."""
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
                # By its time, a picture has the numbers of the lost ones after it.
                lost=summary.lost if summary.lost and summary.numbered is None else None,
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


class MediaResults(ResultOutput):
    """Writes the files of a media, or of a part of a video that a job of its own reads."""

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
        """Store the arguments, see OutcomeRecord; nothing is written yet."""
        self._files = ResultFiles(outputs, wanted, network.options.frame_stride, synced=synced)
        self._record = OutcomeRecord(outputs, wanted, fetched, network, part=part, synced=synced)
        self._in_parts = part is not None

    def take(self, found: Sequence[FrameResult]) -> None:
        """Write the boxes of frames, and offer their pictures to the album."""
        self._files.take(found)

    def restart(self) -> None:
        """Discard the boxes and pictures."""
        self._files.restart()

    def finish(self, frames: FrameInput, counters: Counters) -> None:
        """Write the files and then the record, and log the outcome."""
        self._files.finish()
        log_outcome(self._record.write(frames, counters), count=not self._in_parts)

    def abandon(self, error: BaseException) -> None:
        """Remove the unfinished CSV."""
        self._files.abandon(error)


def tiles_used(tiling: Tiling | None, counted: TileCounters) -> TilesUsed | None:
    """Return the record of the tiles; None if tiles were not requested."""
    if tiling is None:
        return None
    width, height = tiling.size
    return TilesUsed(width=width, height=height, overlap=tiling.overlap, **asdict(counted))
