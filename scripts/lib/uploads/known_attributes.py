"""Which attributes and defaults a box type had, since a run first saw them, kept in the version's description.

A default that moves changes no box that stands. Whoever judges such a box later, from whatever folder, learns here what
Tator may have filled in. Only a version that the workflow made says so: what people wrote is not changed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

# What Tator takes as a description.
LONGEST_DESCRIPTION = 1024

_TOLD = re.compile(r"attributes seen: (\{(?:(?!attributes seen: ).)*\}), ")

Known = Mapping[str, Sequence[Any]]


def from_description(description: str) -> dict[str, list[Any]]:
    """Return what a description says: for each attribute the ISO time since when, then its defaults."""
    found = _TOLD.search(description)
    try:
        known = json.loads(found[1]) if found else {}
    except ValueError:  # somebody edited it
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


def to_description(what: str, known: Known, ending: str) -> str:
    """Return a description; without the attributes where there are too many for one."""
    text = f"{what}attributes seen: {json.dumps(known, separators=(',', ':'))}, {ending}"
    return text if len(text) <= LONGEST_DESCRIPTION else f"{what}{ending}"
