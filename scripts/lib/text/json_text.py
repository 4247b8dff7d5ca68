"""Parse JSON, and raise ValueError for every fault."""

import json
from collections.abc import Callable
from typing import Any


def parse(text: str | bytes) -> Any:
    """Return the content of a JSON text.

    Raises:
        ValueError: the text is not JSON, or nested too deeply, for which `json` raises RecursionError.
    """
    return _parse(text, None)


def parse_from_user(text: str) -> Any:
    """Return the content of a JSON text that a person wrote.

    Raises:
        ValueError: see `parse`; or an object has a key twice, of which `json` uses the last without a word.
    """
    return _parse(text, _without_repeated_keys)


def _parse(text: str | bytes, make_object: Callable[[list[tuple[str, Any]]], Any] | None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=make_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is given twice; expected it once")
        found[key] = value
    return found
