"""The arguments to open an engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # these imports are too slow for the planning of a run
    from scripts.lib.boxes import Size
    from scripts.lib.graphs.description import Description
    from scripts.lib.suppression import Nms


@dataclass(frozen=True)
class RowsConvention:
    """Properties of a graph with rows that its file does not define.

    Attributes:
        pixels: pixel format, a value of `network.pixels`; None if the settings have none.
        first_label: label of the first name in train.ini: 0, or 1 if label 0 is the background; None if the settings
            have none.
        classes: number of class names.
    """

    pixels: str | None
    first_label: int | None
    classes: int


@dataclass(frozen=True)
class EngineRequest:
    """A network, and how to run it.

    Attributes:
        graph: the network's file: `graph.pb`, `graph.onnx`, or OpenVINO's own `graph.xml`.
        size: width and height of the network's input.
        batch_size: number of frames in a batch.
        threads: number of CPU threads.
        precision: precision of the computation, one of the engine's.
        engines: the folder of the engine files.
        nms: suppression settings that replace those of the graph; None to keep these.
        rows: the convention of a graph whose outputs are rows.
        description: the network's description; None if it has none.
        names: number of class names of a described network.
        device: the device of onnxruntime: auto, cpu or cuda.
        min_score: the minimum score of a box; anchors that score less may be left out. None to return all.
    """

    graph: Path
    size: "Size"
    batch_size: int
    threads: int
    precision: str
    engines: Path
    nms: "Nms | None"
    rows: RowsConvention | None
    description: "Description | None" = None
    names: int = 0
    device: str = "cpu"
    min_score: float | None = None
