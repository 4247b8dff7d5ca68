"""The network that a detection job runs."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.lib.boxes import Size
from scripts.lib.detection.options import DetectOptions
from scripts.lib.engines.base import Engine
from scripts.lib.engines.request import RowsConvention
from scripts.lib.engines.table import ENGINES, open_engine
from scripts.lib.engines.tensorrt.prepare_described import obstacle
from scripts.lib.files import read_json, sha256
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs import train_ini as train
from scripts.lib.graphs.class_count import check_names
from scripts.lib.graphs.description import Description, Resize
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.feeding import of_bytes, size_of_input
from scripts.lib.graphs.input_size import input_size, suppression_of
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.preprocessing import tiles
from scripts.lib.preprocessing.tiles import Tiling
from scripts.lib.records.detection import NetworkUsed
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.configuration.engine_choice import choose_for_network


@dataclass(frozen=True)
class NetworkFiles:
    """The files of a network.

    Attributes:
        graph: `graph.pb` or `graph.onnx`, or `graph.xml` with `graph.bin` next to it.
        train_ini: file of the names of its classes.
        provenance: the record of its source.
        changes: the records of the conversion and the quantization of the graph, if any.
    """

    graph: Path
    train_ini: Path
    provenance: Path
    changes: list[Path]

    @property
    def weights(self) -> Path | None:
        """The file next to the graph that holds its weights; None if the graph itself does."""
        return self.graph.with_suffix(".bin") if self.graph.suffix == ".xml" else None

    @property
    def all(self) -> list[Path]:
        """All files of the network."""
        weights = [self.weights] if self.weights else []
        return [self.graph, *weights, self.train_ini, self.provenance, *self.changes]


class Network:
    """The network of a job, which is loaded when a media needs it.

    Attributes:
        options: the options of detection.
        used: the record of the network; None before it is loaded.
        engine_used: the record of its engine; None before it is loaded.
    """

    def __init__(self, files: NetworkFiles, options: DetectOptions) -> None:
        """Store the files and the options; nothing is loaded yet."""
        self._files, self.options = files, options
        self.used: NetworkUsed | None = None
        self.engine_used: dict[str, object] | None = None

    @cached_property
    def _provenance(self) -> ProvenanceRecord:
        return read_record(ProvenanceRecord, self._files.provenance)

    @property
    def name(self) -> str:
        """The network's name in errors: its source, and the name of its graph."""
        return f"{self._provenance.reference}: {self._files.graph.name}"

    @cached_property
    def description(self) -> Description | None:
        """The description of the network's family, from get_network; None for the families `retinanet` and `rows`."""
        values = self._provenance.description
        return None if values is None else from_values(values, str(self._files.provenance))

    def _of_graph(self, precision: str) -> Description | None:
        """Return the description of the graph to load; the input of a quantized graph is bytes."""
        if self.description is None or precision != "int8":
            return self.description
        return of_bytes(self.description)

    @property
    def resize(self) -> Resize:
        """The conversion of frames to pictures of the network's size."""
        described = self._of_graph(self.options.precision)
        return described.resize if described else Resize()

    @cached_property
    def size(self) -> Size:
        """Width and height of the network's input.

        Raises:
            SettingsError: neither the settings nor the network contain the size.
        """
        asked = (self.options.img_max_side, self.options.img_min_side)
        return size_of_network(self._files.graph, self._provenance, self.description, asked, self.name)

    @cached_property
    def tiling(self) -> Tiling | None:
        """The tiles that large frames are cut into; None if they are not cut.

        Raises:
            SettingsError: neither the settings nor the network contain the size of its input.
        """
        return None if self.options.tiles is None else tiles.from_values(self.options.tiles, self.size)

    def load(self) -> Engine:
        """Load the network.

        Raises:
            GraphError: it cannot be used, or does not fit train.ini.
        """
        names = train.species(self._files.train_ini)
        nms = self.options.nms
        not_buildable = None
        if self.description is not None and ENGINES[self.options.engine].is_built:
            not_buildable = obstacle(read_file(self._files.graph, self.name), self.description)
        chosen = choose_for_network(
            self.options.engine, self.options.precision, not_buildable, os.environ, device=self.options.device
        )
        engine = open_engine(
            self._files.graph,
            engine=chosen.engine,
            size=self.size,
            batch_size=self.options.batch_size,
            threads=self.options.threads,
            precision=chosen.precision,
            engines=self.options.engines,
            nms=None if nms is None else suppression_of(nms, self.description),
            rows=RowsConvention(self.options.pixels, self.options.first_label, len(names)),
            description=self._of_graph(chosen.precision),
            names=len(names),
            device=self.options.device,
            min_score=self.options.keep_threshold,
        )
        try:
            self.used = self._describe(engine, names)
            self.engine_used = engine.description | {"chosen": chosen.reason}
        except BaseException:
            engine.close()
            raise
        return engine

    def _describe(self, engine: Engine, names: list[str]) -> NetworkUsed:
        files, described = self._files, self.description
        check_names(engine.classes, names, str(files.graph), str(files.train_ini))
        return NetworkUsed(
            sha256=sha256(files.graph),
            weights_sha256=sha256(files.weights) if files.weights else None,
            width=engine.size.width,
            height=engine.size.height,
            classes=names,
            nms=nms_settings.to_values(engine.nms) | {"min_score": max(engine.nms.min_score, 0.0)},
            description=described.to_values() if described else None,
            source=self._provenance.reference,
            # The folder of each record is named after the change: `converted` or `int8`.
            **{change.parent.name: read_json(change) for change in files.changes},
        )


def size_of_network(
    graph: Path,
    provenance: ProvenanceRecord,
    description: Description | None,
    asked: tuple[int | None, int | None],
    source: str,
) -> Size:
    """Return the size of a network's input.

    Args:
        graph: path of the network's graph.
        provenance: the record of its source.
        description: the description of its family; None for the families `retinanet` and `rows`.
        asked: the settings detect.img_max_side and detect.img_min_side.
        source: the name of the file in errors.

    Raises:
        SettingsError: neither the settings nor the network contain the size.
        GraphError: the network does not accept the size.
    """
    own = None
    if description is None and None in asked:
        own = size_of_input(read_file(graph, source))
    if own is None and provenance.size is not None:
        own = Size(*provenance.size)
    return input_size(asked, description, graph.name, own)
