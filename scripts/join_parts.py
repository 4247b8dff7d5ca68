"""Join the detections of a video's parts."""

import logging
from pathlib import Path

from scripts.lib.detection.joining import join
from scripts.lib.detection.media_detection import MediaFiles, detect_one, record_failed_job
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.parts_plan import planned_parts, require_planned
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.jobs import job

_log = logging.getLogger(__name__)


def join_parts(
    *,
    plan: list[Path],
    part_detections: list[Path],
    part_outcomes: list[Path],
    part_previews: list[Path],
    media_files: MediaFiles,
    network_files: NetworkFiles,
    outputs: DetectionOutputs,
    options: DetectOptions,
) -> None:
    """Write the outputs of detect from the files of a video's parts.

    Media without parts are processed here in one piece: pictures, short videos, and videos without suitable key frames.
    So are videos whose parts show damage, as it may change the frames of later parts.

    Args:
        plan: list of the path of split_media's plan; empty for a media that is not cut.
        part_detections: the CSVs of the parts.
        part_outcomes: the records of the parts' detections.
        part_previews: the files of the parts' preview pictures.
        media_files: the downloaded file and its records.
        network_files: the network's files.
        outputs: the files to write.
        options: the options of detection.

    Raises:
        MediaFault: an earlier job failed.
        PipelineError: as in detect.
    """
    if plan:
        require_planned(plan[0])
        parts = [DetectionOutputs(*files) for files in zip(part_detections, part_outcomes, part_previews, strict=True)]
        fps = read_record(MediaRecord, media_files.record).fps
        why = join(planned_parts(plan[0]), parts, outputs, options, fps)
        if why is None:
            return
        _log.warning("in one piece: %s", why)
    detect_one(media_files, network_files, outputs, options)


if __name__ == "__main__":
    job.run(join_parts, snakemake, record_failure=record_failed_job)  # type: ignore[name-defined]
