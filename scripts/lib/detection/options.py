"""The options of a detection job, and of its downloads."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.lib.frames.source import wanted_frames
from scripts.lib.records import RequestedFrames


@dataclass(frozen=True)
class DetectOptions:
    """The options of a detection job, named like the settings; see config/README.md.

    Attributes:
        img_max_side: width of the network's input in pixels; None for the width in its file.
        img_min_side: height of the network's input in pixels; None for the height in its file.
        keep_threshold: the least score of a box.
        batch_size: number of frames in a batch.
        frame_stride: distance between two frames of a video to detect in.
        frame_range: first and last frame of a video to detect in, both included; None for all.
        max_frames: largest number of frames of a video to detect in; None for no limit.
        engine: the engine, a name of scripts.lib.engines.table.ENGINES.
        precision: the engine's precision: f32, f16 or int8.
        engines: the folder of TensorRT's engine files.
        nms: settings of the suppression that replace those of the graph.
        pixels: the pixel format of the input, for a network of the family `rows`.
        first_label: the label of the first class, for a network of the family `rows`.
        threads: number of CPU threads.
        device: the device of onnxruntime: auto, cpu or cuda.
        tiles: the tiles of frames that are larger than a tile: `auto`, or some of width, height, overlap and whole;
            None for no tiles.
    """

    img_max_side: int | None
    img_min_side: int | None
    keep_threshold: float
    batch_size: int
    frame_stride: int
    frame_range: list[int] | None
    max_frames: int | None
    engine: str
    precision: str
    engines: Path
    nms: dict[str, Any] | None
    pixels: str | None
    first_label: int | None
    threads: int
    device: str = "auto"
    tiles: dict[str, Any] | str | None = None

    @property
    def frames(self) -> RequestedFrames:
        """The requested frames of a video, for the record."""
        return RequestedFrames(frame_stride=self.frame_stride, frame_range=self.frame_range, max_frames=self.max_frames)

    @property
    def key(self) -> dict[str, Any]:
        """The options that the boxes depend on."""
        return {key: value for key, value in asdict(self).items() if key not in ("engines", "threads")}

    @property
    def wanted(self) -> range:
        """The numbers of the requested frames."""
        return wanted_frames(self.frame_stride, self.frame_range, self.max_frames)


@dataclass(frozen=True)
class DownloadOptions:
    """The options of downloads in a job that media share.

    Attributes:
        host: Tator's address.
        project_id: Tator's number of the project.
        keep_files: whether to keep the downloaded files.
        prefetch_mb: megabytes that may be downloaded and not yet processed; a single media may exceed them.
    """

    host: str
    project_id: int
    keep_files: bool
    prefetch_mb: int
