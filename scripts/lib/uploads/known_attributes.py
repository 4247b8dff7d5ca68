"""Store which attributes and defaults a box type had over time, in the version's description.

A changed default does not change existing boxes. A later run, from any folder, reads here which values Tator may have
filled in. Only versions that the workflow made have this: a description that people wrote is not changed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from scripts.lib import json_text

# The most characters of a description in Tator.
LONGEST_DESCRIPTION = 1024

# The words that introduce the attributes of boxes and of tracks in a description.
OF_BOXES, OF_TRACKS = "attributes seen: ", "attributes of tracks seen: "
KINDS = (OF_BOXES, OF_TRACKS)

Known = Mapping[str, Sequence[Any]]


def from_description(description: str, of: str = OF_BOXES) -> dict[str, list[Any]]:
    """Return the attributes in a description: for each the ISO time since when it is known, then its defaults.

    Args:
        description: the version's description.
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
        told = json_text.parse(text)
    except ValueError:  # somebody edited it
        return {}
    known: dict[str, list[Any]] = {}
    for key, content in told.items():
        if isinstance(content, dict):
            known |= {name: [key, *defaults] for name, defaults in content.items() if isinstance(defaults, list)}
        elif isinstance(content, list) and content:  # as earlier versions wrote it: the name, then time and defaults
            known[key] = content
    return known


def merged(known: Known, box_type: Mapping[str, Any], now: datetime) -> dict[str, list[Any]]:
    """Return the known attributes, with the type's current ones added; unchanged if there is nothing new.

    Args:
        known: the attributes known before.
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
    """Return a description with as many of the known attributes as fit.

    If not all fit, these are left out first (after attributes whose defaults fill half of it):

    1. attributes that never had a default, the newest first: if a person sets such an attribute of all boxes of a media
       to one value, as the token's own user, all at once and in place, that counts as Tator's;
    2. defaults that were replaced, the oldest attribute's first, then whole attributes, the longest first: boxes that
       still have such a default, while others of their media have another, count as edited by people, and are kept.

    Args:
        what: its beginning.
        known: the known attributes, by one of KINDS.
        ending: its end.
    """
    kept = {of: {name: list(values) for name, values in one.items()} for of, one in known.items()}
    for of, name, rest in [("", "", None), *_least_needed(known)]:
        if rest is not None:
            kept[of][name] = rest
        elif of:
            del kept[of][name]
        text = what + "".join(f"{kind}{_told(one)}, " for kind, one in kept.items() if one) + ending
        if len(text) <= LONGEST_DESCRIPTION:
            return text
    return f"{what}{ending}"


def _least_needed(known: Mapping[str, Known]) -> Iterator[tuple[str, str, list[Any] | None]]:
    """Yield what to leave out, one after the other: kind, attribute, and what to keep of it (None for nothing)."""
    # By time; Tator's own order among those of one time.
    attributes = sorted(
        ((of, name, list(values)) for of, one in known.items() for name, values in one.items()),
        key=lambda attribute: str(attribute[2][0]),
    )
    with_default = [attribute for attribute in attributes if len(attribute[2]) > 1]
    huge = [attribute for attribute in with_default if len(json.dumps(attribute[2])) > LONGEST_DESCRIPTION // 2]
    for of, name, _ in huge:  # one of them would leave no room for many others
        yield of, name, None
    for of, name, values in reversed(attributes):
        if len(values) == 1:
            yield of, name, None
    rest = [attribute for attribute in with_default if attribute not in huge]
    for of, name, values in rest:
        for first in range(2, len(values)):
            yield of, name, [values[0], *values[first:]]
    for of, name, _ in sorted(rest, key=lambda attribute: -len(json.dumps(attribute[2][-1]) + attribute[1])):
        yield of, name, None


def _told(known: Known) -> str:
    """Return JSON with each time once: attributes and their defaults by the time since when they are known."""
    by_time: dict[str, dict[str, list[Any]]] = {}
    for name, values in known.items():
        by_time.setdefault(str(values[0]), {})[name] = list(values[1:])
    return json.dumps(by_time, separators=(",", ":"))
