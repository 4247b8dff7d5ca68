"""What can be wrong with the settings of the network together, as far as they show it without its file."""

from collections.abc import Mapping
from typing import Any


def contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the network's settings as far as they show it; the file itself is read later."""
    network, detect = settings["network"], settings["detect"]
    problems = []
    sides = (detect["img_max_side"], detect["img_min_side"])
    if None in sides and sides != (None, None):
        problems.append(f"detect.img_max_side, detect.img_min_side: {sides[0]} and {sides[1]}; expected both, or none")
    needing = [f"detect.{key}: {detect[key]}" for key in ("engine", "precision") if detect[key] in ("tensorrt", "int8")]
    if None in sides and needing:
        problems.append(f"detect.img_max_side, detect.img_min_side: not set; expected both with {needing[0]}")
    if (network["family"] == "described") != (network["description"] is not None):
        problems.append(
            f"network.family, network.description: {network['family']!r} and "
            f"{'none' if network['description'] is None else 'a description'}; expected family: described with a "
            "description, and no description with another family"
        )
    if network["graph"] == "graph.xml" and detect["engine"] not in ("auto", "openvino"):
        problems.append(
            f"network.graph, detect.engine: graph.xml and {detect['engine']}; expected engine: openvino, which alone "
            "reads its own files"
        )
    return problems


def may_use_gpu(settings: Mapping[str, Any]) -> bool:
    """Whether `engine: auto` may stand for TensorRT: not for networks that the settings show it cannot run."""
    network, detect = settings["network"], settings["detect"]
    runs = network["graph"] != "graph.xml" and network["family"] in ("auto", "retinanet") and detect["img_max_side"]
    return detect["engine"] != "auto" or bool(runs)
