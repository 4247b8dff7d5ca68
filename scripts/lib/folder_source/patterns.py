"""Match paths of a folder's files with the patterns of the settings."""

import fnmatch
import re
import unicodedata
from collections.abc import Callable, Iterable


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that returns whether a path matches any of the patterns.

    A pattern without `/` matches a name in any folder; one with `/` matches the path below the folder, where
    `*` matches within a name and `**` any number of folders. One that ends in `/` matches a folder. Upper and lower
    case are not distinguished, nor are composed and decomposed accents. The path of a folder ends in `/`.

    Args:
        patterns: patterns with `*`, `?` and `[...]`.
    """
    found = [_expression(unicodedata.normalize("NFC", pattern)) for pattern in patterns]
    if not found:
        return _nothing
    expression = re.compile("|".join(found), re.IGNORECASE | re.DOTALL)

    def matches(path: str) -> bool:
        return expression.match(unicodedata.normalize("NFC", path)) is not None

    return matches


def _nothing(path: str) -> bool:
    return False


def _expression(pattern: str) -> str:
    """Return a regular expression for whole paths."""
    folder = "/" if pattern.endswith("/") else "/?"
    parts = [part for part in pattern.strip("/").split("/") if part != "."]
    if len(parts) == 1 and not pattern.startswith("/"):
        parts = ["**", *parts]
    text = ""
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            text += ".+" if last else "(?:[^/]+/)*"
        else:
            text += _name(part) + ("" if last else "/")
    return rf"(?:{text}{folder})\Z"


def _name(part: str) -> str:
    """Return a regular expression for a name; wildcards do not match `/`."""
    text, at = "", 0
    last_bracket = part.rfind("]")
    while at < len(part):
        end = _end_of_class(part, at) if at < last_bracket else 0
        if part[at] == "*":
            end = len(part) - len(part[at:].lstrip("*"))
            text += "[^/]*"
        elif part[at] == "?":
            text += "[^/]"
        elif end:
            inside = fnmatch.translate(part[at:end])
            text += f"(?:(?!/){inside[4:-3]})"  # without (?s: and )\Z
        else:
            text += re.escape(part[at])
        at = end or at + 1
    return text


def _end_of_class(part: str, at: int) -> int:
    """Return the end of a `[...]` that begins at an index, or 0; a `]` directly after `[` or `[!` does not end it."""
    if part[at] != "[":
        return 0
    first = at + (2 if part.startswith("[!", at) else 1)
    return part.find("]", first + 1) + 1
