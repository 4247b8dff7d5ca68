"""Read a network's class names from its train.ini, and the size of its training pictures if the file has it."""

import configparser
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.lib.errors import GraphError
from scripts.lib.text.display_text import short

if TYPE_CHECKING:  # most jobs read only the names, and do not need numpy
    from scripts.lib.boxes import Size

EXPECTED = "expected a section [Data] with the line Species=name,name,..."
_HEADER = re.compile(r"\[(?P<name>[^\]]*)\]")
_SPECIES = re.compile(r"species\s*[=:]", re.IGNORECASE)
# The expression of configparser takes cubic time for blanks within a key.
_OPTION = re.compile(r"(?P<option>[^=:]*)(?:(?P<vi>[=:])\s*(?P<value>.*))?$")
# `;` after a blank starts a comment; so does `#`, unless a digit follows: "Sebastes #2" is a name.
_COMMENT = re.compile(r"\s(?:;|#(?!\d)).*")
MOST_NAMES = 10_000
LONGEST_NAME = 10_000
# The most lines of [Data]; configparser takes quadratic time if many lines cannot be read.
_MOST_LINES = 2 * MOST_NAMES
_SHOWN = 200
_SIDE = re.compile(r"\s*(?P<side>width|height)\s*[=:]\s*(?P<value>[1-9][0-9]{0,4})\s*(?:[;#].*)?", re.IGNORECASE)
_BRACKETS = {"[": "]", "(": ")", "{": "}", "<": ">"}


class _Parser(configparser.ConfigParser):
    OPTCRE_NV = _OPTION


def species(path: Path) -> list[str]:
    """Return the names of `[Data] Species`, in the order of the network's classes.

    Blanks around names, quotes around a name or around the whole list, comments, a byte-order mark and any
    other section are allowed. A name may contain any character except a comma and a line break.

    Raises:
        GraphError: the file cannot be read, has no such key, or a name is empty, very long, or not unique.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GraphError(f"{path}: cannot be read ({error.strerror}); {EXPECTED}") from error
    return names(content, str(path))


def names(content: bytes, source: str) -> list[str]:
    """Return the names in the content of a train.ini; `source` is the name of the file in errors."""
    value = _unquoted(_value(_text(content, source), source))
    if not value:
        raise GraphError(f"{source}: Species in [Data] is empty; {EXPECTED}: write the names of the classes")
    found = [_unquoted(name.strip()) for name in value.split(",")]
    if _opens(found[0]) or _closes(found[-1]) or all(map(_in_brackets, found)):
        raise GraphError(
            f"{source}: the names in Species are in brackets ({value[0]}...{value[-1]}): {short(value, 200)!r}; "
            "expected them bare, with commas between: delete the brackets"
        )
    if len(found) > MOST_NAMES:
        raise GraphError(f"{source}: Species holds {len(found)} names; expected at most {MOST_NAMES}")
    first: dict[str, int] = {}
    for number, name in enumerate(found, start=1):
        _check(name, f"{number} of {len(found)}", value, source)
        if first.setdefault(name, number) != number:
            raise GraphError(
                f"{source}: {_cut(name)!r} is name {first[name]} and name {number} in Species; "
                "expected a different name for each class: rename one"
            )
    if len(longest := max(found, key=len)) > LONGEST_NAME:
        raise GraphError(
            f"{source}: {_cut(longest)!r} in Species has {len(longest)} characters; expected at most {LONGEST_NAME}"
        )
    return found


def size(path: Path) -> "Size | None":
    """Return Width and Height of section [Detect], with which OpenEM trained the network, or None.

    Invalid lines in the section are ignored.
    """
    try:
        text = _text(path.read_bytes(), str(path))
    except (OSError, ValueError, GraphError):  # ValueError: an impossible name of a file
        return None
    sides: dict[str, int] = {}
    inside = False
    for line in text.splitlines():
        if header := _HEADER.match(line):
            inside = header["name"].strip().casefold() == "detect"
        elif inside and (found := _SIDE.fullmatch(line)):
            sides[found["side"].casefold()] = int(found["value"])
    if len(sides) < 2:
        return None
    from scripts.lib.boxes import Size

    return Size(sides["width"], sides["height"])


def _opens(name: str) -> bool:
    """Return whether a name begins with a bracket that is not closed in it."""
    return name[:1] in _BRACKETS and _BRACKETS[name[0]] not in name


def _closes(name: str) -> bool:
    """Return whether a name ends with a bracket that is not opened in it."""
    return any(name.endswith(closing) and opening not in name for opening, closing in _BRACKETS.items())


def _in_brackets(name: str) -> bool:
    return name[:1] in _BRACKETS and name.endswith(_BRACKETS[name[0]])


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def _text(content: bytes, source: str) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise GraphError(
            f"{source}: byte {error.start} ({content[error.start]:#04x}) is not {encoding}; "
            "expected a text file in UTF-8: save it as UTF-8 and make the data image again"
        ) from error
    if "\0" in text:
        raise GraphError(f"{source}: holds a NUL character; expected a text file in UTF-8: {EXPECTED}")
    return text


def _value(text: str, source: str) -> str:
    """Return the value of Species without comments. Only [Data] is parsed; other sections may have any content."""
    lines, headers, inside = ["[Data]"], [], False
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header and (section := header["name"].strip()):
            headers.append(section)
            inside = section.casefold() == "data"
        elif inside:
            lines.append(line)
    if "data" not in (name.casefold() for name in headers):
        found = _cut(", ".join(f"[{name}]" for name in headers[:20])) or "no section"
        raise GraphError(f"{source}: has no section [Data], but {found}; {EXPECTED}: add it")
    if len(lines) > _MOST_LINES:
        raise GraphError(f"{source}: section [Data] has {len(lines)} lines; expected at most {_MOST_LINES}")
    parser = _Parser(interpolation=None, strict=False, allow_no_value=True, empty_lines_in_values=False)
    try:
        parser.read_string("\n".join(lines), source)
    except configparser.Error as error:
        raise GraphError(f"{source}: section [Data] cannot be read: {_cut(str(error))}; {EXPECTED}") from error
    data = parser["Data"]
    if "species" not in data:
        found = _cut(", ".join(list(data)[:20])) or "nothing"
        raise GraphError(f"{source}: section [Data] has no Species, but {found}; {EXPECTED}: add it")
    times = sum(bool(_SPECIES.match(line)) for line in lines)
    if times > 1:
        raise GraphError(f"{source}: section [Data] gives Species {times} times; expected one line: delete the others")
    return "\n".join(_COMMENT.sub("", f" {line}").strip() for line in (data["species"] or "").splitlines())


def _unquoted(text: str) -> str:
    """Remove one pair of quotes around a text without such quotes inside, and the blanks next to them."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def _check(name: str, place: str, value: str, source: str) -> None:
    if not name:
        raise GraphError(
            f"{source}: name {place} in Species is empty ({_cut(value)!r}); "
            "expected a name between commas: delete the comma too many, or name the class"
        )
    if "\n" in name:
        raise GraphError(
            f"{source}: Species breaks a line within {_cut(name)!r}; expected a comma after each name: add it"
        )
    if name.startswith('"') != name.endswith('"'):
        raise GraphError(
            f"{source}: {_cut(name)!r} in Species has a quote at one end only; expected a pair around a name, "
            "and no comma within it: take the comma or the quotes away"
        )
