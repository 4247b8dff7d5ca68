"""Patterns that choose files of a folder."""

import fnmatch
import re
from collections.abc import Callable, Iterable


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that says whether a path matches any of the patterns.

    A pattern without `/` is of a name, in whatever folder it is; one with `/` is of the path below the folder, where
    `*` stays within a name and `**` stands for any number of folders. One that ends in `/` is of a folder. Capital
    letters are as small ones. The path of a folder ends in `/`.

    Args:
        patterns: of `*`, `?`, `[...]` and letters.
    """
    found = [_expression(pattern) for pattern in patterns]
    if not found:
        return _nothing
    return re.compile("|".join(found), re.IGNORECASE | re.DOTALL).match  # type: ignore[return-value]


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
    text = ""
    for piece in re.split(r"(\*+|\?|\[!?\]?[^\]/]*\])", part):
        if piece.startswith("*"):
            text += "[^/]*"
        elif piece == "?":
            text += "[^/]"
        elif piece.startswith("[") and piece.endswith("]"):
            inside = fnmatch.translate(piece)
            text += f"(?:(?!/){inside[4:-3]})"  # without (?s: and )\Z
        else:
            text += re.escape(piece)
    return text
