"""What can be wrong with the settings of the network together, as far as they show it without its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.lib.engines.table import names_of


def contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the network's settings as far as they show it; the file itself is read later."""
    network, detect = settings["network"], settings["detect"]
    problems = []
    sides = (detect["img_max_side"], detect["img_min_side"])
    if None in sides and sides != (None, None):
        problems.append(f"detect.img_max_side, detect.img_min_side: {sides[0]} and {sides[1]}; expected both, or none")
    sized = {"engine": names_of(is_built=True), "precision": ["int8"]}
    needing = [f"detect.{key}: {detect[key]}" for key, values in sized.items() if detect[key] in values]
    if None in sides and needing:
        problems.append(f"detect.img_max_side, detect.img_min_side: not set; expected both with {needing[0]}")
    if (network["family"] == "described") != (network["description"] is not None):
        problems.append(
            f"network.family, network.description: {network['family']!r} and "
            f"{'none' if network['description'] is None else 'a description'}; expected family: described with a "
            "description, and no description with another family"
        )
    suffix = Path(network["graph"]).suffix
    if detect["engine"] != "auto" and suffix == ".xml" and detect["engine"] not in names_of(suffix=suffix):
        problems.append(
            f"network.graph, detect.engine: graph.xml and {detect['engine']}; expected engine: "
            f"{' or '.join(names_of(suffix=suffix))}, which alone reads its own files"
        )
    return problems


def may_use_gpu(settings: Mapping[str, Any]) -> bool:
    """Whether `engine: auto` may stand for TensorRT: not for networks that the settings show it cannot run."""
    network, detect = settings["network"], settings["detect"]
    runs = network["graph"] != "graph.xml" and network["family"] in ("auto", "retinanet") and detect["img_max_side"]
    return detect["engine"] != "auto" or bool(runs)
