"""The names of a network's classes: from train.ini, a file of names next to the graph, or the graph's metadata."""

import ast
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.lib.errors import GraphError
from scripts.lib.graphs import train_ini
from scripts.lib.graphs.description import LARGEST_LABEL
from scripts.lib.graphs.signature import Signature
from scripts.lib.text import json_text, yaml_text
from scripts.lib.text.display_text import short, shown

TRAIN_INI = "train.ini"
# Written by transformers, with the settings of the network.
CONFIG = "config.json"
# Written by Ultralytics next to an OpenVINO file, with the metadata of the export.
METADATA = "metadata.yaml"
# Names of entries that are no class, in lists with an entry for every COCO number, and of torchvision's background.
_UNUSED = ("N/A", "n/a", "", "__background__")
# Parsing a Python literal takes fifty times its size in memory, and seconds for a megabyte.
_LONGEST_LITERAL = 2**19

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassNames:
    """The names of a network's classes.

    Attributes:
        names: names in the order of the classes.
        labels: label, or column, of each name; None if they are consecutive.
        source: where the names are from, for errors.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    source: str


def name_files() -> tuple[str, ...]:
    """Return the names of files that may name the classes of a graph next to them."""
    return tuple(_READERS)


def find_names(folder: Path, signature: Signature, source: str) -> ClassNames:
    """Return the names from train.ini, or else from a file of names, or else from the metadata.

    The labels may be from another source that has the same names.

    Args:
        folder: the folder of the graph.
        signature: the signature of the graph.
        source: name of the folder for errors.

    Raises:
        GraphError: there are no names, they cannot be read, or two sources have different numbers of names, or
            different labels of the same names.
    """
    found = [
        read((folder / name).read_bytes(), f"{source}: {name}")
        for name, read in _READERS.items()
        if (folder / name).is_file() and (name != CONFIG or b"id2label" in (folder / name).read_bytes())
    ]
    if "names" in signature.metadata:
        found.append(_of_value(_literal(signature.metadata["names"]), f"{signature.source}: its metadata"))
    if not found:
        raise GraphError(
            f"{source}: no file names the network's classes; expected train.ini, or one of "
            f"{', '.join(name for name in _READERS if name != TRAIN_INI)} next to the graph: add it, for example "
            "names.txt with one name on each line, in the order of the classes"
        )
    for other in found[1:]:
        _check_agreement(found[0], other)
    return replace(found[0], labels=_common_labels([one for one in found if one.names == found[0].names]))


def to_train_ini(names: Sequence[str], source: str) -> str:
    """Return the text of a train.ini with these names.

    Raises:
        GraphError: a train.ini cannot hold one of the names.
    """
    for name in names:
        if "," in name or not name.isprintable():
            raise GraphError(
                f"{source}: the name {short(name, 100)!r} has a comma or a line break; expected names without: give "
                "the names in a train.ini, in the same order"
            )
    text = f"[Data]\nSpecies={','.join(names)}\n"
    if train_ini.names(text.encode(), source) != list(names):
        raise GraphError(
            f"{source}: the names {short(', '.join(names), 200)!r} cannot stand in a train.ini as they are; expected "
            "names without quotes, brackets and comments: give a train.ini, in the same order"
        )
    return text


def _of_train_ini(content: bytes, source: str) -> ClassNames:
    return ClassNames(tuple(train_ini.names(content, source)), None, source)


def _of_text(content: bytes, source: str) -> ClassNames:
    lines = _text(content, source).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return _checked(dict(enumerate(line.strip() for line in lines)), source)


def _of_yaml(content: bytes, source: str) -> ClassNames:
    try:
        values = yaml_text.parse_from_others(_text(content, source))
    except ValueError as error:
        raise GraphError(
            f"{source}: is not YAML ({error}); expected the key names with the names of the classes: correct it"
        ) from error
    if not isinstance(values, Mapping) or "names" not in values:
        raise GraphError(f"{source}: has no key names; expected the names of the classes there: add it")
    return _of_value(values["names"], source)


def _of_config(content: bytes, source: str) -> ClassNames:
    return _of_value(_json(content, source).get("id2label"), source)


def _of_categories(content: bytes, source: str) -> ClassNames:
    values = _json(content, source).get("categories")
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in values or ()}
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
        raise GraphError(
            f"{source}: its categories cannot be read ({error!r}); expected id and name of each"
        ) from error
    if not names or len(names) != len(values or ()):
        raise GraphError(f"{source}: has no categories, or an id twice; expected id and name of each category")
    found = _checked(names, source)
    return found if found.labels is not None else ClassNames(found.names, tuple(sorted(names)), source)


_READERS: dict[str, Callable[[bytes, str], ClassNames]] = {
    TRAIN_INI: _of_train_ini,
    "names.txt": _of_text,
    "data.yaml": _of_yaml,
    "categories.json": _of_categories,
    METADATA: _of_yaml,
    CONFIG: _of_config,
}


def _literal(value: Any) -> Any:
    """Return the value of a metadata text: Ultralytics writes dictionaries as Python literals."""
    if not isinstance(value, str) or len(value) > _LONGEST_LITERAL:
        return value
    for read in (ast.literal_eval, json_text.parse):
        try:
            return read(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return value


def _of_value(value: Any, source: str) -> ClassNames:
    """Return the names in a list, or in a dictionary from numbers to names."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    try:
        names = {int(key): name for key, name in value.items()}
    except (AttributeError, TypeError, ValueError, OverflowError):
        names = {}
    if not names or not all(isinstance(name, str | int | float) for name in names.values()):
        raise GraphError(
            f"{source}: its names are {short(repr(value), 200)}; expected a list of names, or the name of each number"
        )
    return _checked({key: str(name) for key, name in names.items()}, source)


def _checked(names: Mapping[int, str], source: str) -> ClassNames:
    """Return the names in the order of their numbers, without those that are no class."""
    used = {key: names[key].strip() for key in sorted(names) if names[key].strip() not in _UNUSED}
    if not used or len(names) > train_ini.MOST_NAMES or min(names) < 0:
        raise GraphError(
            f"{source}: holds {len(names)} names; expected 1 to {train_ini.MOST_NAMES}, numbered from 0 or 1 on"
        )
    if max(names) > LARGEST_LABEL:
        raise GraphError(
            f"{source}: gives a name the number {short(str(max(names)), 50)}; expected 0 to {LARGEST_LABEL}, the label "
            "of the class in the network: number the classes as the network does"
        )
    twice = [name for name, count in Counter(used.values()).items() if count > 1]
    if twice:
        raise GraphError(f"{source}: {short(twice[0], 100)!r} is there twice; expected a different name for each class")
    labels = tuple(used)
    return ClassNames(tuple(used.values()), None if labels == tuple(range(len(labels))) else labels, source)


def _check_agreement(first: ClassNames, other: ClassNames) -> None:
    if len(first.names) != len(other.names):
        raise GraphError(
            f"{first.source} has {len(first.names)} names, {other.source} {len(other.names)}; expected the same "
            "number: give the names that the network was trained with, or remove the file that is wrong"
        )
    if first.names != other.names:
        at = next(at for at, pair in enumerate(zip(first.names, other.names, strict=True)) if pair[0] != pair[1])
        _log.warning(
            "%s and %s name the classes differently: class %d is %r in the first, %r in the other; the first is used",
            *(first.source, other.source, at, first.names[at], other.names[at]),
        )


def _common_labels(found: Sequence[ClassNames]) -> tuple[int, ...] | None:
    """Return the labels in any of these sources, which have the same names; None if none has labels."""
    labelled = [one for one in found if one.labels is not None]
    for other in labelled[1:]:
        if other.labels != labelled[0].labels:
            raise GraphError(
                f"{labelled[0].source} gives the names the labels {short(str(labelled[0].labels), 100)}, "
                f"{other.source} {short(str(other.labels), 100)}; expected the same: correct or remove the file that "
                "is wrong"
            )
    return labelled[0].labels if labelled else None


def _json(content: bytes, source: str) -> dict[str, Any]:
    try:
        values = json_text.parse(_text(content, source))
    except ValueError as error:
        raise GraphError(f"{source}: is not JSON ({error}); expected an object: export it again") from error
    if not isinstance(values, dict):
        raise GraphError(f"{source}: is {shown(values)}; expected an object: export it again")
    return values


def _text(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraphError(f"{source}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error
