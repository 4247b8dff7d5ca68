"""docs/faults.md: each row names tests that exist, and quotes messages that are in the code."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.workflow import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
QUOTES = sorted({quote for row in re.findall(r"^\| .*::test_.*", PAGE, re.MULTILINE) for quote in
                 re.findall(r"`([^`]+)`", row.split(" | ")[1])})  # fmt: skip
# What in a quote stands for other values, and what joins texts of several places.
JOINTS = re.compile(r"\.\.\.|: |; |\b(?:is|are|was)\b|\(?\b(?:[A-Z]|NAME|SIGKILL|\d+)\b\)?")
# Texts of Snakemake, the system, HTTP, Kubernetes and Tator, and a status without words.
OF_OTHERS = {"", "Directory cannot be locked", "File too large", "No space left on device", "Read timed out",
             "Invalid token", "Unauthorized", "died with <Signals"}  # fmt: skip
# In place of a value that an f-string inserts, and between texts.
VALUE, END = "\0", "\1"


def test_the_page_names_tests():
    assert len(NAMED) > 30


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_each_named_test_exists(path, name):
    tree = ast.parse((ROOT / "tests" / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert [row for row in rows if "::test_" not in row and not row.startswith("| what |")] == []


def texts_of(path: Path) -> list[str]:
    """Return the string literals of a Python file; all of another file."""
    source = path.read_text()
    if path.suffix != ".py":
        return [source]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def bare_words(text: str) -> list[str]:
    """Return the words of a text without the punctuation next to them."""
    return [word.strip("\"'`.,:;()<>{}=") for word in text.split()]


@cache
def words_of_the_code() -> tuple[list[str], dict[str, list[int]]]:
    """Return the words of all texts in the code, and where each word is."""
    files = (path for folder in ("scripts", "rules", "deploy") for path in (ROOT / folder).rglob("*"))
    paths = [ROOT / "Snakefile", *(path for path in files if path.suffix in (".py", ".smk"))]
    words = [word for path in paths for text in texts_of(path) for word in [*bare_words(text), END]]
    places = defaultdict(list)
    for place, word in enumerate(words):
        places[word].append(place)
    return words, places


def is_in_the_code(text: str) -> bool:
    """Return whether the words of a text follow each other in a text of the code, whose values may be any words."""
    wanted = bare_words(text)
    words, places = words_of_the_code()
    for offset, word in enumerate(wanted):
        for place in places.get(word, ()):
            found = words[place - offset : place - offset + len(wanted)]
            patterns = (".*".join(map(re.escape, each.split(VALUE))) for each in found)
            if len(found) == len(wanted) and all(map(re.fullmatch, patterns, wanted)):
                return True
    return False


@pytest.mark.parametrize("quote", QUOTES)
def test_each_quoted_message_is_in_the_code(quote):
    parts = [part.strip(" ,.") for part in JOINTS.split(quote)]
    longest = max(parts, key=len)
    checked = {longest, *(part for part in parts if " " in part)} - OF_OTHERS
    assert [part for part in checked if not is_in_the_code(part)] == []
