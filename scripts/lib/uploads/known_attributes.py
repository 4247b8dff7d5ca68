"""Which attributes and defaults a box type had, since a run first saw them, kept in the version's description.

A default that moves changes no box that stands. Whoever judges such a box later, from whatever folder, learns here what
Tator may have filled in. Only a version that the workflow made says so: what people wrote is not changed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

# What Tator takes as a description.
LONGEST_DESCRIPTION = 1024

# What the attributes are of, as a description says it.
OF_BOXES, OF_TRACKS = "attributes seen: ", "attributes of tracks seen: "
KINDS = (OF_BOXES, OF_TRACKS)

Known = Mapping[str, Sequence[Any]]


def from_description(description: str, of: str = OF_BOXES) -> dict[str, list[Any]]:
    """Return what a description says: for each attribute the ISO time since when, then its defaults.

    Args:
        description: of a version.
        of: one of KINDS.
    """
    for part in description.split(of)[1:]:
        content, told, _ = _ending_at(KINDS, part).rpartition("}, ")
        if content.startswith("{") and told:
            return _read(content + "}")
    return {}


def _ending_at(words: Iterable[str], text: str) -> str:
    """Return a text up to the first of these words."""
    for word in words:
        text = text.partition(word)[0]
    return text


def _read(text: str) -> dict[str, list[Any]]:
    try:
        known = json.loads(text)
    except (ValueError, RecursionError):  # somebody edited it
        return {}
    return {str(name): values for name, values in known.items() if isinstance(values, list) and values}


def merged(known: Known, box_type: Mapping[str, Any], now: datetime) -> dict[str, list[Any]]:
    """Return what is known with what the type has now added; unchanged where it has nothing new.

    Args:
        known: what was known before.
        box_type: the type, as Tator has it.
        now: the time by the server's clock, since boxes have times of that clock.
    """
    found = {name: list(values) for name, values in known.items()}
    for attribute in box_type.get("attribute_types") or []:
        values = found.setdefault(attribute["name"], [now.isoformat(timespec="milliseconds")])
        default = attribute.get("default")
        if default is not None and default not in values[1:]:
            values.append(default)
    return found


def to_description(what: str, known: Mapping[str, Known], ending: str) -> str:
    """Return a description; without the attributes where there are too many for one.

    Args:
        what: how it begins.
        known: what is known, by one of KINDS.
        ending: how it ends.
    """
    told = "".join(f"{of}{json.dumps(one, separators=(',', ':'))}, " for of, one in known.items() if one)
    text = f"{what}{told}{ending}"
    return text if len(text) <= LONGEST_DESCRIPTION else f"{what}{ending}"
