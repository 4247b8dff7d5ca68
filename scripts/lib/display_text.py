"""Make names that people chose, which may contain any character, safe to display."""

import json
import re
import unicodedata
from typing import Any
from urllib.parse import unquote

LONGEST = 40
LONGEST_SHOWN = 200
# Characters that a terminal takes for commands, that change the direction of a text, that look like a line break, or
# that XML forbids.
_COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
# The characters before a host; an address that was made a path has lost a slash.
_ADDRESS = ("//", ":/")
_ESCAPED = re.compile(f"{_COMMANDS.pattern}|[\ud800-\udfff]")


def without_commands(text: str) -> str:
    """Return the text, of any number of lines, with a replacement sign for each invisible or control character."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


def as_json(content: Any, *, indent: int | None = None) -> str:
    """Return JSON in readable letters; invisible and control characters and lone surrogates are escaped.

    Raises:
        ValueError: the content has NaN or infinity, which JSON cannot represent.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def printable(text: str) -> str:
    """Return the text with a replacement sign for each line break, lone surrogate and control character."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def short(text: str, limit: int = LONGEST) -> str:
    """Return a printable text of at most `limit` letters, cut in the middle, as names often differ at their end."""
    line = printable(text)
    if len(line) <= limit:
        return line
    head = limit // 2
    return f"{line[:head]}…{line[len(line) - (limit - head - 1) :]}"


def shown(value: Any) -> str:
    """Return a setting's value for a message: printable, cut, and without a password in an address."""
    try:
        text = repr(_without_users(value))
    except RecursionError:
        return "a value nested too deeply"
    return printable(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ...")


def _without_users(value: Any) -> Any:
    """Return a value whose texts, at any depth, have no user and password before a host."""
    if isinstance(value, str):
        return _without_user(value)
    if isinstance(value, bytes):
        return _without_user(value.decode("latin-1")).encode("latin-1", "replace")
    if isinstance(value, dict):
        return {_without_users(key): _without_users(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_users, value))
    return value


def _without_user(text: str) -> str:
    """Return a text without the user and password of an address, which may contain `/`, `@` and blanks."""
    plain = unicodedata.normalize("NFKC", unquote(text))  # `%40` and the full-width `@` count as `@`, too
    before, sign, host = plain.rpartition("@")
    begin = min((at for slashes in _ADDRESS if (at := before.find(slashes)) >= 0), default=-1)
    if begin >= 0:
        return f"{before[:begin]}{':' * (before[begin] == ':')}//...@{host}"
    # A text without slashes may be a path or an image with its digest; anything else is treated as an address.
    is_user = bool(sign) and not host.startswith("sha256:") and (":" in before or "/" not in before)
    return f"...@{host}" if is_user else text
