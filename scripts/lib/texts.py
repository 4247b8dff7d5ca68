"""Names as people gave them, made fit to be shown: they hold anything."""

import re

LONGEST = 40
# What a terminal takes for commands, what turns the direction of a text, and what only looks like a line's end.
_COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def without_commands(text: str) -> str:
    """Return the text, of any number of lines, with a sign in place of each character that no reader sees as itself."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


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
