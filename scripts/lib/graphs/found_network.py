"""Inspect a network in a folder: its graph, family, class names, and size."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.graphs import class_names
from scripts.lib.graphs.class_count import check_class_count
from scripts.lib.graphs.class_names import ClassNames
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.families import describe
from scripts.lib.graphs.feeding import read_input, size_of_input
from scripts.lib.graphs.hints import NetworkHints
from scripts.lib.graphs.input_size import input_size
from scripts.lib.graphs.signature import Signature
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.text import json_text, yaml_text
from scripts.lib.text.display_text import shown

_PREPROCESSOR = "preprocessor_config.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of a network: those of `network` with the same names, and `img_max_side`, `img_min_side` of `detect`."""

    family: str = "auto"
    description: Mapping[str, Any] | None = None
    pixels: str | None = None
    first_label: int | None = None
    img_max_side: int | None = None
    img_min_side: int | None = None

    @property
    def size(self) -> Size | None:
        """The size of the network's input; None if the settings have none."""
        return Size(self.img_max_side, self.img_min_side) if self.img_max_side and self.img_min_side else None


@dataclass(frozen=True)
class FoundNetwork:
    """A network in a folder.

    Attributes:
        names: the names of the classes.
        description: the network's description; None for the families `retinanet` and `rows`.
        signature: the signature of the graph.
    """

    names: ClassNames
    description: Description | None
    signature: Signature

    @property
    def size(self) -> Size | None:
        """The size in the network's file, of the input or in the metadata; None if there is none."""
        return self.description.size if self.description is not None else size_of_input(self.signature)

    def warning(self, asked: NetworkSettings, stated: "StatedSize | None" = None) -> str | None:
        """Return a warning about the size in the settings; None if it is right or not set.

        Args:
            asked: the settings.
            stated: the size stated outside the graph; it is used if the graph has none.
        """
        sides = (asked.img_max_side, asked.img_min_side)
        known = StatedSize(self.size, "network's file") if self.size is not None else stated
        if None in sides:
            return None
        setting = f"detect.img_max_side, detect.img_min_side: {sides[0]} x {sides[1]}"
        if known is None and self.description is not None:  # it resizes frames itself, or takes any size
            return None
        if known is None:
            return (
                f"{setting}; the network has no size, so this one cannot be checked: at another size than it was "
                "trained at it may find less"
            )
        if sides == known.size:
            return None
        remedy = "leave both settings out to take this size"
        return (
            f"{setting}; the {known.source} says {known.size.width} x {known.size.height}, and at another size it may "
            f"find less: {remedy}"
        )


@dataclass(frozen=True)
class StatedSize:
    """The size that a network was trained at, and its source, for example "data image's label"."""

    size: Size
    source: str


def read_description(path: Path) -> dict[str, Any]:
    """Return network.description from a YAML file that contains only that.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        values = yaml_text.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"--description {path}: cannot be read ({error}); expected a YAML file") from error
    if not isinstance(values, dict):
        raise SettingsError(f"--description {path}: it is {shown(values)}; expected keys and values")
    return values


def inspect_graph(
    graph: Path, asked: NetworkSettings, source: str, *, needs_size: bool = True, stated: StatedSize | None = None
) -> FoundNetwork:
    """Inspect a network by its graph and the files next to it.

    Args:
        graph: the graph.
        asked: the settings.
        source: name of the folder for errors.
        needs_size: refuse a network whose size is neither in its file, nor in the settings, nor `stated`.
        stated: the size stated outside the graph.

    Raises:
        GraphError: the network is not a detector, its family is not known, or the names do not fit.
        SettingsError: the settings contradict each other or the file, or the file fits several families.
    """
    folder = graph.parent
    signature = _with_metadata(read_file(graph, f"{source}: {graph.name}"), folder, source)
    names = class_names.find_names(folder, signature, source)
    known = NetworkHints(
        names=len(names.names),
        labels=names.labels,
        config=_config(folder, source),
        family=asked.family,
        description=asked.description,
        first_label=asked.first_label,
        pixels=asked.pixels,
    )
    description = describe(signature, known)
    check_class_count(signature, description, names.names, names.source)
    sides = (asked.img_max_side, asked.img_min_side)
    has_size = description is not None and description.size is not None
    stated_size = stated.size if stated else None
    if description is None:
        if needs_size and not signature.is_frozen:  # it is only needed to run the network
            input_size(sides, None, signature.source, size_of_input(signature) or stated_size)
    elif needs_size or has_size or asked.img_max_side:
        size = input_size(sides, description, signature.source, stated_size)
        read_input(signature, description, size)
        _log.info("%s: family %s, %d x %d pixels", signature.source, description.family, *size)
    return FoundNetwork(names, description, signature)


def _with_metadata(signature: Signature, folder: Path, source: str) -> Signature:
    """Return a signature with the metadata in the file that Ultralytics writes next to a graph."""
    path = folder / class_names.METADATA
    if not path.is_file():
        return signature
    try:
        values = yaml_text.parse_from_others(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GraphError(f"{source}: {path.name}: is not YAML ({error}); expected the file of the export") from error
    if not isinstance(values, dict):
        raise GraphError(f"{source}: {path.name}: is no object; expected the file that was exported with the graph")
    return replace(signature, metadata={**signature.metadata, **{str(key): value for key, value in values.items()}})


def _config(folder: Path, source: str) -> dict[str, Any]:
    """Return the contents of transformers' files next to a graph; empty if there are none."""
    found: dict[str, Any] = {}
    for name in (class_names.CONFIG, _PREPROCESSOR):
        path = folder / name
        if not path.is_file():
            continue
        try:
            values = json_text.parse(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise GraphError(f"{source}: {name}: is not JSON ({error}); expected the file of the export") from error
        if not isinstance(values, dict):
            raise GraphError(f"{source}: {name}: is no object; expected the file that was exported with the graph")
        found |= values if name == class_names.CONFIG else {"preprocessor": values}
    return found
