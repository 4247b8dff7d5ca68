"""Detection in media: from their files to each one's CSV, pictures and record."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.detection.media_frames import MediaFrames
from scripts.lib.detection.media_results import MediaResults
from scripts.lib.detection.media_task import Counters, MediaTask
from scripts.lib.detection.network import Network, NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detection.pipeline import Detector
from scripts.lib.detection.result_files import DetectionOutputs
from scripts.lib.errors import MediaFault
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.frames.parts import Part
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record


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
