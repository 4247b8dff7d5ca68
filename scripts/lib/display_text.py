"""Make names that people gave, which may hold any character, safe to display."""

import json
import re
from typing import Any

LONGEST = 40
LONGEST_SHOWN = 200
# What a terminal takes for commands, what turns the direction of a text, what only looks like a line's end, and what
# no XML file may hold.
_COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_WORD = re.compile(r"\S+")
# What begins an address; one that stands in a path has lost a slash.
_ADDRESS = ("//", ":/")
_ESCAPED = re.compile(f"{_COMMANDS.pattern}|[\ud800-\udfff]")


def without_commands(text: str) -> str:
    """Return the text, of any number of lines, with a replacement sign for each invisible or control character."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


def as_json(content: Any, *, indent: int | None = None) -> str:
    """Return JSON in readable letters; invisible and control characters and lone surrogates are escaped.

    Raises:
        ValueError: it holds NaN or infinity, which JSON has not.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def printable(text: str) -> str:
    """Return the text with a sign in place of line breaks, lone surrogates and what a terminal takes for commands."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def short(text: str, limit: int = LONGEST) -> str:
    """Return a printable text of at most `limit` letters, cut in its middle: ends of names tell them apart."""
    line = printable(text)
    if len(line) <= limit:
        return line
    head = limit // 2
    return f"{line[:head]}…{line[len(line) - (limit - head - 1) :]}"


def shown(value: Any) -> str:
    """Return a setting's value for a message: printable, cut, and without a password in an address."""
    try:
        text = repr(value)
    except RecursionError:
        return "a value nested too deeply"
    text = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."
    return printable(_WORD.sub(_without_user, text))


def _without_user(word: re.Match[str]) -> str:
    """Return a word without the user and the password of an address in it, which may hold `/` and `@`."""
    begin = min((at for sign in _ADDRESS if (at := word[0].find(sign)) >= 0), default=len(word[0]))
    end = word[0].rfind("@")
    return word[0] if end < begin + 2 else f"{word[0][:begin]}//...@{word[0][end + 1 :]}"
