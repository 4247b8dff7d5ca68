"""Find contradictions in the settings of the network without reading its file."""

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.lib.engines.table import names_of
from scripts.lib.graphs.file_names import GRAPHS
from scripts.lib.graphs.train_ini import size
from scripts.lib.text.display_text import shown

# Families whose networks contain non-maximum suppression, which TensorRT cannot run.
_SUPPRESSING_INSIDE = ("torchvision", "tensorflow", "rows")


def contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Return a line for each contradiction in the network's settings."""
    network, detect = settings["network"], settings["detect"]
    problems = []
    sides = (detect["img_max_side"], detect["img_min_side"])
    if (sides[0] is None) != (sides[1] is None):
        missing, given = ("max", "min") if sides[0] is None else ("min", "max")
        problems.append(f"detect.img_{missing}_side: not set, but detect.img_{given}_side is; expected both, or none")
    need_sides = []  # settings that require the sides
    if network["graph"].endswith(".pb") and detect["precision"] == "int8":
        need_sides.append("detect.precision: int8 and a graph.pb")
    if network["graph"].endswith(".pb") and detect["engine"] not in ("auto", *names_of(suffix=".pb")):
        need_sides.append(f"detect.engine: {detect['engine']}, for which graph.pb is converted")
    # local_files.py reports a folder that does not exist.
    folder = Path(network["directory"]) if network["directory"] else None
    if network["graph"] == "graph.pb" and folder and _is_folder(folder) and not size(folder / "train.ini"):
        others = [] if (folder / "graph.pb").is_file() else [name for name in GRAPHS if (folder / name).is_file()]
        if others:
            problems.append(f"network.graph: graph.pb is not in {shown(str(folder))}; set {' or '.join(others)}")
        else:
            need_sides.append("network.graph: graph.pb, as no train.ini has the size that it was trained at")
    if None in sides and need_sides:
        problems.append(f"detect.img_max_side, detect.img_min_side: not set; expected both with {need_sides[0]}")
    tiles = detect["tiles"]
    if isinstance(tiles, dict) and ("width" in tiles) != ("height" in tiles):
        problems.append(
            f"detect.tiles: {shown(tiles)}; expected width and height, or neither, for tiles of the network's own size"
        )
    if (network["family"] == "described") != (network["description"] is not None):
        problems.append(
            f"network.family, network.description: {network['family']!r} and "
            f"{'none' if network['description'] is None else 'a description'}; expected family: described with a "
            "description, and no description with another family"
        )
    problems += [
        f"network.sha256, network.graph: a hash of {name}, but {network['graph']} is used; expected hashes of files in "
        "use, as others are not checked"
        for name in network["sha256"]
        if name in GRAPHS and name != network["graph"]
    ]
    suffix = Path(network["graph"]).suffix
    if detect["engine"] != "auto" and suffix == ".xml" and detect["engine"] not in names_of(suffix=suffix):
        problems.append(
            f"network.graph, detect.engine: graph.xml and {detect['engine']}; expected engine: "
            f"{' or '.join(names_of(suffix=suffix))}, which is the only one that reads such files"
        )
    return problems


def unfit_for_tensorrt(settings: Mapping[str, Any]) -> str | None:
    """Return why TensorRT cannot run the network, if the settings show that; otherwise None."""
    network, detect = settings["network"], settings["detect"]
    if network["graph"] == "graph.xml":
        return "TensorRT does not read graph.xml"
    if network["family"] in _SUPPRESSING_INSIDE:
        return f"TensorRT does not run the network's family, {network['family']}"
    if network["pixels"]:
        return "TensorRT does not run networks whose outputs are rows (network.pixels)"
    if network["graph"] == "graph.pb" and not detect["img_max_side"]:
        return "to convert graph.pb for TensorRT, detect.img_max_side and detect.img_min_side have to be set"
    if _is_object_detection_api(network):
        return "TensorRT does not run the network's family, tensorflow"
    return None


def _is_object_detection_api(network: Mapping[str, Any]) -> bool:
    """Return whether a frozen graph in a folder contains the tensor names of TensorFlow's Object Detection API."""
    if network["graph"] != "graph.pb" or not network["directory"]:
        return False
    path = Path(network["directory"], network["graph"])
    try:
        if not path.is_file():  # opening a pipe would wait for a writer
            return False
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names = (b"image_tensor", b"detection_boxes")
            return all(content.find(bytes([10, len(name)]) + name) >= 0 for name in names)
    except (OSError, ValueError):  # it cannot be read, or is empty: get_network reports that
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file system accepts
        return False
