"""The network for quantize_network: cut before its suppression, and opened before and after quantization."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.table import names_of, open_engine
from scripts.lib.errors import GraphError
from scripts.lib.graphs import train_ini as train
from scripts.lib.graphs.description import Description, Resize
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.feeding import of_bytes, read_input, size_of_input
from scripts.lib.graphs.input_size import input_size
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.suppression import FINAL, Nms
from scripts.lib.workflow.processes import deadline

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]


@dataclass(frozen=True)
class WholeNetwork:
    """The network before quantization, including its suppression.

    Attributes:
        graph: path of its graph.
        description: the description of its family; None for the families `retinanet` and `rows`.
        names: number of classes that have a name.
        size: the size of its input.
        threads: number of CPU threads.
    """

    graph: Path
    description: Description | None
    names: int
    size: Size
    threads: int

    @property
    def resize(self) -> Resize:
        """The conversion of frames to pictures of the network's size."""
        return self.description.resize if self.description else Resize()

    def before_suppression(self, *, read_own: bool) -> tuple["openvino.Model", Nms]:
        """Return the graph from bytes of pixels up to the suppression, and the settings of the suppression.

        Args:
            read_own: whether to read the settings from the graph; if not, the returned settings are meaningless.

        Raises:
            GraphError: the suppression cannot be cut off, or the graph does not fit its description.
        """
        if self.description is not None and self.description.suppression is not None:
            from scripts.lib.engines.openvino.described import read_with_frames

            taken = read_input(read_file(self.graph), self.description, self.size)
            return read_with_frames(self.graph, self.description, taken, self.size), self.description.suppression
        from scripts.lib.engines.openvino.graph import cut, read_graph, read_nms

        whole, layout = read_graph(self.graph)
        if layout.labels is not None:
            raise _uncut(self.graph)
        part = cut(whole, layout, str(self.graph), 1, self.size)
        classes = part.outputs[1].get_shape()[2]
        return part, read_nms(whole, layout, classes, str(self.graph)) if read_own else FINAL

    def opened(self, graph: Path, nms: Nms) -> Engine:
        """Load this graph, or the quantized one, with a batch size of 1."""
        described = self.description
        if described is None:
            from scripts.lib.engines.openvino.engine import OpenVinoEngine

            with deadline.watched(str(graph), "being made ready"):
                return OpenVinoEngine(graph, size=self.size, batch_size=1, threads=self.threads, nms=nms)
        (engine,) = names_of(precision="int8")
        return open_engine(
            graph, engine=engine, size=self.size, batch_size=1, threads=self.threads, nms=nms, names=self.names,
            description=described if graph == self.graph else of_bytes(described),
        )  # fmt: skip


def _uncut(graph: Path) -> GraphError:
    return GraphError(
        f"{graph}: suppresses its boxes itself, which cannot be cut off to quantize it; set detect.precision: f32"
    )


def read_network(
    graph: Path, train_ini: Path, provenance: Path, asked: tuple[int | None, int | None], threads: int
) -> WholeNetwork:
    """Return the network before quantization.

    Raises:
        GraphError: the network's suppression cannot be cut off.
        SettingsError: neither the settings nor the network contain its size.
    """
    values = read_record(ProvenanceRecord, provenance).description
    described = None if values is None else from_values(values, str(provenance)).with_bytes  # as int8 takes them
    if described is not None and described.suppression is None:
        raise _uncut(graph)
    own = size_of_input(read_file(graph)) if described is None and None in asked else None
    size = input_size(asked, described, str(graph), own)
    return WholeNetwork(graph, described, len(train.species(train_ini)), size, threads)
