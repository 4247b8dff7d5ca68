"""Names as people gave them, made fit to be shown: they hold anything."""

LONGEST = 40


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
