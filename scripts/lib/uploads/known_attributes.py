"""Store which attributes and defaults a type had over time, in the version's description.

A changed default does not change existing boxes. A later run, from any folder, reads from the description which values
Tator may have filled in. Only versions that the workflow made have it: descriptions by people are not changed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from scripts.lib.server.rows import require_type
from scripts.lib.text import json_text

if TYPE_CHECKING:  # jobs that read only descriptions need no NumPy
    from scripts.lib.uploads.reconcile import Destination

# The largest number of characters of a description in Tator.
LONGEST_DESCRIPTION = 1024

# The texts before the attributes of boxes and of tracks in a description.
OF_BOXES, OF_TRACKS = "attributes seen: ", "attributes of tracks seen: "
KINDS = (OF_BOXES, OF_TRACKS)

Known = Mapping[str, Sequence[Any]]
_Where = TypeVar("_Where", bound="Destination")


def from_description(description: str, kind: str = OF_BOXES) -> dict[str, list[Any]]:
    """Return the attributes in a description: for each the ISO time since when it is known, then its defaults.

    Args:
        description: the version's description.
        kind: one of KINDS.
    """
    for part in description.split(kind)[1:]:
        content, end, _ = _before(KINDS, part).rpartition("}, ")
        if content.startswith("{") and end:
            return _parse(content + "}")
    return {}


def _before(separators: Iterable[str], text: str) -> str:
    """Return the part of a text before the first of these separators."""
    for separator in separators:
        text = text.partition(separator)[0]
    return text


def _parse(text: str) -> dict[str, list[Any]]:
    try:
        parsed = json_text.parse(text)
    except ValueError:  # somebody edited the description
        return {}
    known: dict[str, list[Any]] = {}
    for key, content in parsed.items():
        if isinstance(content, dict):
            known |= {name: [key, *defaults] for name, defaults in content.items() if isinstance(defaults, list)}
        elif isinstance(content, list) and content:  # earlier versions of the workflow: a list for each name
            known[key] = content
    return known


def merged(known: Known, box_type: Mapping[str, Any], now: datetime) -> dict[str, list[Any]]:
    """Return the known attributes together with the type's current ones.

    Args:
        known: the attributes known before.
        box_type: the type's current record in Tator.
        now: the time by the server's clock, as the times of boxes are by that clock.
    """
    found = {name: list(values) for name, values in known.items()}
    for attribute in box_type.get("attribute_types") or []:
        values = found.setdefault(attribute["name"], [now.isoformat(timespec="milliseconds")])
        default = attribute.get("default")
        if default is not None and default not in values[1:]:
            values.append(default)
    return found


def to_description(beginning: str, known: Mapping[str, Known], ending: str) -> str:
    """Return a description with as many of the known attributes as fit.

    If not all fit, attributes whose defaults fill half of the description are left out first, then:

    1. attributes that never had a default, the newest first;
    2. defaults that were replaced, the oldest attribute's first, then whole attributes, the longest first: boxes that
       still have such a default count as edited by people, and are kept.

    Args:
        beginning: the beginning of the description.
        known: the known attributes, by one of KINDS.
        ending: the end of the description.
    """
    kept = {kind: {name: list(values) for name, values in one.items()} for kind, one in known.items()}
    for kind, name, rest in [("", "", None), *_least_needed(known)]:
        if rest is not None:
            kept[kind][name] = rest
        elif kind:
            del kept[kind][name]
        text = beginning + "".join(f"{kind}{_to_json(one)}, " for kind, one in kept.items() if one) + ending
        if len(text) <= LONGEST_DESCRIPTION:
            return text
    return f"{beginning}{ending}"


def _least_needed(known: Mapping[str, Known]) -> Iterator[tuple[str, str, list[Any] | None]]:
    """Yield attributes to leave out or shorten, one after the other: kind, attribute, remaining values or None."""
    # Sorted by time; attributes of the same time stay in Tator's order.
    attributes = sorted(
        ((kind, name, list(values)) for kind, one in known.items() for name, values in one.items()),
        key=lambda attribute: str(attribute[2][0]),
    )
    with_default = [attribute for attribute in attributes if len(attribute[2]) > 1]
    huge = [attribute for attribute in with_default if len(json.dumps(attribute[2])) > LONGEST_DESCRIPTION // 2]
    for kind, name, _ in huge:  # one of them would leave no room for many others
        yield kind, name, None
    for kind, name, values in reversed(attributes):
        if len(values) == 1:
            yield kind, name, None
    rest = [attribute for attribute in with_default if attribute not in huge]
    for kind, name, values in rest:
        for first in range(2, len(values)):
            yield kind, name, [values[0], *values[first:]]
    for kind, name, _ in sorted(rest, key=lambda attribute: -len(json.dumps(attribute[2][-1]) + attribute[1])):
        yield kind, name, None


def _to_json(known: Known) -> str:
    """Return attributes and their defaults as JSON, grouped by the time since when they are known."""
    by_time: dict[str, dict[str, list[Any]]] = {}
    for name, values in known.items():
        by_time.setdefault(str(values[0]), {})[name] = list(values[1:])
    return json.dumps(by_time, separators=(",", ":"))


def with_current_defaults(before: _Where, what: str, types: list[dict[str, Any]]) -> _Where:
    """Return a destination with its type's current defaults; earlier defaults remain known.

    Args:
        before: the destination.
        what: the kind of type, for messages.
        types: the project's current types of this kind.
    """
    found = next((kind for kind in types if kind["id"] == before.type_id), None)
    if found is not None:
        require_type(what, found)
    attributes = (found or {}).get("attribute_types") or []
    now = {each["name"]: each["default"] for each in attributes if each.get("default") is not None}
    known = {name: list(values) for name, values in before.known.items()}
    for name, value in before.defaults.items():
        if now.get(name) != value and name in known and value not in known[name][1:]:
            known[name].append(value)
    earlier = {name: value for name, value in before.defaults.items() if name not in now}
    return replace(before, defaults=earlier | now, known=known)
