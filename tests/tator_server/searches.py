"""Tator's searches of media, as its schema's AttributeOperationSpec describes them, with the usual operations."""

import base64
import binascii
import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

from .errors import NotCoveredError, RefusedError
from .store import Record

_COMBINATIONS: dict[str, Callable[[Any], bool]] = {"and": all, "or": any, "not": lambda parts: not any(parts)}
_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "icontains": lambda found, part: part.lower() in found.lower(),
    "istartswith": lambda found, part: found.lower().startswith(part.lower()),
    "in": lambda found, several: found in several,
}
_FIELDS = ("$id", "$type", "$name", "$num_frames", "$fps", "$width", "$height", "$archive_state")


def decoded(encoded_search: str) -> Record:
    """Return the search that `encoded_search` holds, as Base64 of JSON.

    Raises:
        RefusedError: when it is not Base64 of JSON.
    """
    try:
        found: Record = json.loads(base64.b64decode(encoded_search))
    except (binascii.Error, ValueError) as error:
        raise RefusedError(str(error)) from error
    return found


def finds(search: Mapping[str, Any], media: Record, attributes: frozenset[str]) -> bool:
    """Return whether a search finds a media; a search for an attribute that no type has finds none."""
    if "method" in search:
        combine = _COMBINATIONS[search["method"].lower()]
        return combine([finds(part, media, attributes) for part in search["operations"]])
    name, operation = search["attribute"], search["operation"]
    if operation not in _OPERATIONS or (name.startswith("$") and name not in _FIELDS):
        raise NotCoveredError(f"a search for {name!r} with {operation!r}")
    if not name.startswith("$") and name not in attributes:
        return False
    found = media[name[1:]] if name.startswith("$") else media["attributes"].get(name)
    if found is None:
        if search.get("inverse"):
            raise NotCoveredError("an inverse search where a value is missing")
        return False
    return bool(_OPERATIONS[operation](found, search["value"]) != search.get("inverse", False))
