"""Derive from the settings of a run which files its network has, and the options of its jobs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.data_images.members import OPTIONAL
from scripts.lib.engines.table import ENGINES, EngineKind
from scripts.lib.folder_source.listing import shown_path
from scripts.lib.graphs import external

# Options of a detection job besides the network's settings: fields of DetectOptions.
_DETECT_OPTIONS = (
    "img_max_side",
    "img_min_side",
    "keep_threshold",
    "batch_size",
    "frame_stride",
    "frame_range",
    "max_frames",
    "engine",
    "precision",
    "device",
    "tiles",
)


def last_name(path: str) -> str:
    """Return the name of a file or folder, also if its path ends in `/`, `.` or `..`; `root` for `/`."""
    return shown_path(Path(os.path.normpath(Path(path).absolute())).name) or "root"


@dataclass(frozen=True)
class NetworkPlan:
    """The part of a run's plan that is about the network.

    Attributes:
        config: the checked settings.
    """

    config: Mapping[str, Any]

    @property
    def engine(self) -> EngineKind:
        """The engine's entry in the table of engines."""
        return ENGINES[self.config["detect"]["engine"]]

    @property
    def fetched_graph(self) -> str:
        """The graph that get_network fetches."""
        return f"resources/network/{self.config['network']['graph']}"

    @property
    def onnx_graph(self) -> str:
        """The network as ONNX: the fetched one, or the one that convert_network makes."""
        fetched = self.fetched_graph
        return fetched if Path(fetched).name == "graph.onnx" else "resources/network/converted/graph.onnx"

    @property
    def detect_graph(self) -> str:
        """The graph that detect reads."""
        if self.config["detect"]["precision"] == "int8":
            return "resources/network/int8/graph.xml"
        return self.fetched_graph if Path(self.fetched_graph).suffix in self.engine.suffixes else self.onnx_graph

    @property
    def graph_changes(self) -> list[str]:
        """The records of the conversions of the graph that detect reads."""
        records = {"converted": "record.json", "int8": "drift.json"}
        folder = Path(self.detect_graph).parent
        return [str(folder / records[folder.name])] if folder.name in records else []

    @property
    def files_besides_graph(self) -> list[str]:
        """The files that detect needs besides the graph: the record of a built engine, the weights of a graph.xml."""
        return [*self.engine_record, *self.weights_of_graph.values()]

    @property
    def engine_record(self) -> list[str]:
        """The record of the engine that is built before detect runs; empty for engines that are not built."""
        return ["resources/network/engine.json"] if self.engine.is_built else []

    @property
    def weights_of_graph(self) -> dict[str, str]:
        """The file with the weights of a graph.xml, as the input `weights`; empty for other graphs."""
        is_openvino = Path(self.fetched_graph).suffix == ".xml"
        return {"weights": "resources/network/graph.bin"} if is_openvino else {}

    @property
    def network_settings(self) -> dict[str, Any]:
        """The settings of the network itself: NetworkSettings in scripts/lib/graphs/found_network.py."""
        network, detect = self.config["network"], self.config["detect"]
        return {
            **{key: network[key] for key in ("family", "description", "pixels", "first_label")},
            **{key: detect[key] for key in ("img_max_side", "img_min_side")},
        }

    @property
    def detect_environment(self) -> str:
        """The path of the engine's conda environment, relative to the rules."""
        return f"../envs/{self.engine.environment}.yaml"

    @property
    def detect_options(self) -> dict[str, Any]:
        """The options of a detection job: DetectOptions in scripts/lib/detection/options.py, except `threads`."""
        network, detect = self.config["network"], self.config["detect"]
        return {
            **{key: detect[key] for key in _DETECT_OPTIONS},
            **{key: network[key] for key in ("nms", "pixels", "first_label")},
            "engines": "resources/network/engines",
        }

    @property
    def network_name(self) -> str:
        """The network's name: its data image, or the last part of its folder or file."""
        network = self.config["network"]
        return str(network["data_image"] or last_name(network["directory"] or network["archive"]))

    @property
    def network_files(self) -> list[str]:
        """The files that the network comes from; empty for a data image."""
        network = self.config["network"]
        if network["archive"]:
            return [network["archive"]]
        directory = network["directory"]
        if not directory:
            return []
        graph = Path(directory, network["graph"])
        weights = ["graph.bin"] if graph.suffix == ".xml" else external.weight_files_in_folder(graph)
        optional = [name for name in OPTIONAL if Path(directory, name).is_file()]
        return [str(Path(directory, name)) for name in (graph.name, "train.ini", *optional, *weights)]
