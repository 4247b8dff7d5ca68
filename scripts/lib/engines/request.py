"""The request to open an engine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the table of engines is read while a run is planned
    from scripts.lib.boxes import Size
    from scripts.lib.engines.rows import RowsConvention
    from scripts.lib.graphs.description import Description
    from scripts.lib.suppression import Nms


@dataclass(frozen=True)
class EngineRequest:
    """The arguments to open an engine.

    Attributes:
        graph: the network's file: `graph.pb`, `graph.onnx`, or OpenVINO's own `graph.xml`.
        size: width and height of the network's input.
        batch_size: frames in a batch.
        threads: number of CPU threads.
        precision: what to compute with, one of the engine's.
        engines: the folder of engines that are built.
        nms: suppression settings instead of the graph's own.
        rows: how to read a graph that gives rows.
        description: the description of a network whose family has one.
        names: how many classes of such a network have a name.
        device: what onnxruntime computes on: auto, cpu or cuda.
        least_score: the least score of a box; anchors below it may be left out. None to return all.
    """

    graph: Path
    size: "Size"
    batch_size: int
    threads: int
    precision: str
    engines: Path
    nms: "Nms | None"
    rows: "RowsConvention | None"
    description: "Description | None" = None
    names: int = 0
    device: str = "cpu"
    least_score: float | None = None
