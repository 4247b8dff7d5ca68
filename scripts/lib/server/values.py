"""Check single values of Tator's answers; errors name the value and what was expected."""

import math
import reprlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

# Far above what Tator stores, far below the limits of files, logs and numbers.
LONGEST_TEXT = 10_000
LARGEST_NUMBER = 2**31 - 1
LARGEST_SIZE = 2**53
LARGEST_ID = 2**63 - 1


class OddValue(ValueError):
    """A value is invalid; the message names the value and what was expected."""

    def __init__(self, what: str, value: Any, expected: str) -> None:
        super().__init__(f"{what} is {reprlib.repr(value)}, expected {expected}")


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise OddValue(what, value, "an object")
    return value


def array(value: Any, what: str) -> list[Any] | tuple[Any, ...]:
    """Return a JSON array."""
    if not isinstance(value, list | tuple):
        raise OddValue(what, value, "a list")
    return value


def text(value: Any, what: str) -> str:
    """Return a text that can be written to a file."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not is_unicode(value):
        raise OddValue(what, value, f"text of at most {LONGEST_TEXT} characters")
    return value


def optional_text(value: Any, what: str) -> str | None:
    """Return a text, or None."""
    return None if value is None else text(value, what)


def whole(value: Any, what: str, largest: int = LARGEST_NUMBER) -> int:
    """Return a whole number that is not negative."""
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not is_whole or isinstance(value, bool) or not 0 <= value <= largest:
        raise OddValue(what, value, f"a whole number from 0 to {largest}")
    return int(value)


def optional_whole(value: Any, what: str, largest: int = LARGEST_NUMBER) -> int | None:
    """Return a whole number that is not negative, or None."""
    return None if value is None else whole(value, what, largest)


def optional_rate(value: Any, what: str) -> float | int | None:
    """Return a number that is not negative, or None."""
    if value is None:
        return None
    if not is_number(value) or not 0 <= value <= LARGEST_NUMBER:
        raise OddValue(what, value, f"a number from 0 to {LARGEST_NUMBER}")
    return value  # type: ignore[no-any-return]


def coordinate(value: Any, what: str) -> float | int:
    """Return a fraction of a picture's side, which may be outside the picture."""
    if not is_number(value) or abs(value) > LARGEST_NUMBER:
        raise OddValue(what, value, "a number")
    return value  # type: ignore[no-any-return]


def optional_time(value: Any, what: str) -> datetime | None:
    """Return a time with a time zone, or None."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is None:
        raise OddValue(what, value, "a time in ISO 8601 with its zone")
    return found


def is_number(value: Any) -> bool:
    """Return whether a value is a number that fits into a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # integers in JSON have no limit
        return False


def is_unicode(value: str) -> bool:
    """Return whether a text has no lone surrogate, which JSON allows and UTF-8 cannot encode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
