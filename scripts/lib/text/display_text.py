"""Make users' texts, which may contain any character, safe to display."""

import json
import math
import re
import unicodedata
from datetime import date
from itertools import starmap
from typing import Any
from urllib.parse import unquote

LONGEST = 40
LONGEST_SHOWN = 200
# Characters that terminals interpret as commands, that change the direction of text, that look like line breaks, or
# that XML files must not contain.
_COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
# The beginning of an address after its scheme; an address in a path has lost a slash.
_ADDRESS = ("//", ":/")
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_ESCAPED = re.compile(f"{_COMMANDS.pattern}|[\ud800-\udfff]")


def without_commands(text: str) -> str:
    """Return a text of any number of lines, with a replacement character for each invisible or control character."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


def as_json(content: Any, *, indent: int | None = None) -> str:
    """Return JSON with unescaped letters; invisible and control characters and lone surrogates are escaped.

    Raises:
        ValueError: the content has NaN or infinity, which JSON does not support.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def printable(text: str) -> str:
    """Return a text with a replacement character for line breaks, lone surrogates and other unprintable characters.

    Spaces of all widths become plain ones. A joiner is kept after a letter of a script that needs it, or an emoji; in
    other places it would only be invisible.
    """
    return "".join(starmap(_printable, zip(text, f" {text}", strict=False)))


def _printable(letter: str, before: str) -> str:
    if letter.isprintable() or (letter in _JOINERS and before.isprintable() and not before.isascii()):
        return letter
    return " " if unicodedata.category(letter) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def short(text: str, limit: int = LONGEST) -> str:
    """Return a printable text of at most `limit` characters, cut in its middle, as names differ in their ends."""
    line = printable(text)
    if len(line) <= limit:
        return line
    head = limit // 2
    return f"{line[:head]}…{line[len(line) - (limit - head - 1) :]}"


class _Word(str):
    """A word of YAML, which has no quotes."""

    __slots__ = ()

    __repr__ = str.__str__


def shown(value: Any) -> str:
    """Return a setting's value for a message: as in YAML, printable, cut, and without passwords in addresses."""
    try:
        text = repr(_displayed(value))
    except RecursionError:
        return "a value nested too deeply"
    return printable(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ...")


def _word(value: Any) -> str | None:
    """Return YAML's word for a value; None for one that has no other in Python."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, date):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    return None


def _displayed(value: Any) -> Any:
    """Return a value whose repr has, at any depth, YAML's words, and no users and passwords before hosts in texts."""
    if word := _word(value):
        return _Word(word)
    if isinstance(value, str):
        return _without_user(value)
    if isinstance(value, bytes):
        return _without_user(value.decode("latin-1")).encode("latin-1", "replace")
    if isinstance(value, dict):
        return {_displayed(key): _displayed(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(map(_displayed, value))
    return value


def _without_user(text: str) -> str:
    """Return a text without the part before the last `@` of an address, which may contain `/`, `@` and spaces."""
    plain = unicodedata.normalize("NFKC", unquote(text))  # `%40` and the full-width form are also read as `@`
    before, sign, host = plain.rpartition("@")
    begin = min((at for slashes in _ADDRESS if (at := before.find(slashes)) >= 0), default=-1)
    if begin >= 0:
        return f"{before[:begin]}{':' * (before[begin] == ':')}//...@{host}"
    # Without slashes it may be a path, or the digest of an image.
    is_user = bool(sign) and not host.startswith("sha256:") and (":" in before or "/" not in before)
    return f"...@{host}" if is_user else text
