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
        img_max_side: width of the network's input in pixels; None for what its file says.
        img_min_side: height of the network's input in pixels; None for what its file says.
        keep_threshold: the least score of a box.
        batch_size: frames that go through the network at once.
        frame_stride: detect in every n-th frame of a video.
        frame_range: first and last frame of a video to detect in, both included; None for all.
        max_frames: detect in at most so many frames of a video; None for all.
        engine: what runs the network, a name of scripts.lib.engines.table.ENGINES.
        precision: what it computes with: f32, f16 or int8.
        engines: the folder of TensorRT's engine files.
        nms: settings of the suppression instead of the graph's own.
        pixels: for a network that gives rows, the pixels it takes.
        first_label: for a network that gives rows, the label of the first class.
        threads: number of CPU threads.
        device: what onnxruntime computes on: auto, cpu or cuda.
        tiles: how frames that are larger than a tile are cut: `auto`, or some of width, height, overlap and whole;
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
        """Which frames of a video are asked for, as the record says it."""
        return RequestedFrames(frame_stride=self.frame_stride, frame_range=self.frame_range, max_frames=self.max_frames)

    @property
    def key(self) -> dict[str, Any]:
        """What the boxes depend on."""
        return {key: value for key, value in asdict(self).items() if key not in ("engines", "threads")}

    @property
    def wanted(self) -> range:
        """The numbers of these frames."""
        return wanted_frames(self.frame_stride, self.frame_range, self.max_frames)


@dataclass(frozen=True)
class DownloadOptions:
    """How a job that media share downloads them.

    Attributes:
        host: Tator's address.
        project_id: the project.
        keep_files: keep the downloaded files.
        prefetch_mb: how many megabytes may be downloaded and not yet worked on; one media goes whatever its size.
    """

    host: str
    project_id: int
    keep_files: bool
    prefetch_mb: int
