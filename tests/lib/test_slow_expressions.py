"""Every regular expression of the code takes little time on a megabyte of its worst input."""

import ast
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.sweep

ROOT = Path(__file__).parents[2]
_CALLS = {"compile", "search", "match", "fullmatch", "sub", "subn", "findall", "finditer", "split"}
_MEGABYTE = 1_000_000


# Built while the workflow runs, from the user's patterns for files.
_MADE_OF_SETTINGS = {("scripts/lib/folder_source/patterns.py", "'|'.join(found)")}


def text_of(node: ast.expr, tree: ast.Module) -> str | None:
    """Return the pattern that an expression in the code builds; a part that is known only at run time is a letter."""
    if isinstance(node, ast.Constant):
        return node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
        return "".join(text_of(part, tree) or "a" for part in parts)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, tree)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.escape":
        return re.escape(text_of(node.args[0], tree) or "a")
    if isinstance(node, ast.Name):
        for part in tree.body:
            if isinstance(part, ast.Assign) and [ast.unparse(target) for target in part.targets] == [node.id]:
                return text_of(part.value, tree)
    return None


def expressions() -> list[tuple[str, str, str]]:
    """Return file, pattern and use of each call of `re`."""
    found = []
    for folder in ("scripts", "deploy", "benchmarks", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "re"
                    and node.func.attr in _CALLS
                ):
                    name, text = str(path.relative_to(ROOT)), text_of(node.args[0], tree)
                    if text is not None:
                        found.append((name, text, use(tree, node)))
                    elif (name, ast.unparse(node.args[0])) not in _MADE_OF_SETTINGS:
                        raise AssertionError(
                            f"{name}:{node.lineno}: {ast.unparse(node.args[0])}: the pattern cannot be determined"
                        )
    return list(dict.fromkeys(found))


def use(tree: ast.AST, call: ast.Call) -> str:
    """Return how an expression is applied: `match` or `fullmatch` if at one place only, else `finditer`."""
    assert isinstance(call.func, ast.Attribute)
    uses = {call.func.attr}
    if call.func.attr == "compile":
        names = {
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and call in ast.walk(node.value)
            for target in [part for whole in node.targets for part in ast.walk(whole)]
            if isinstance(target, ast.Name)
        }
        uses = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names
        }
    return uses.pop() if len(uses) == 1 and uses <= {"match", "fullmatch"} else "finditer"


def sample(parsed: Any, until: Any = None) -> str:
    """Return a text that matches the parsed pattern, up to the part `until`."""
    text = ""
    for part in parsed:
        if part is until:
            break
        kind, value = str(part[0]), part[1]
        if kind == "LITERAL":
            text += chr(value)
        elif kind in ("NOT_LITERAL", "ANY"):
            text += "a"
        elif kind == "IN":
            text += one_of(value)
        elif kind == "SUBPATTERN":
            text += sample(value[3])
        elif kind == "BRANCH":
            text += sample(value[1][0])
        elif kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            text += sample(value[2]) * max(1, value[0])
    return text


def one_of(choices: Any) -> str:
    """Return a character of a class."""
    negated = str(choices[0][0]) == "NEGATE"
    for letter in "a 0A.-/:,_\t\"'[(={?":
        holds = any(_holds(choice, letter) for choice in choices)
        if holds != negated:
            return letter
    return "a"


def _holds(choice: Any, letter: str) -> bool:
    kind, value = str(choice[0]), choice[1]
    if kind == "LITERAL":
        return chr(value) == letter
    if kind == "RANGE":
        return bool(value[0] <= ord(letter) <= value[1])
    categories = {"CATEGORY_DIGIT": str.isdigit, "CATEGORY_SPACE": str.isspace}
    if kind == "CATEGORY":
        name = str(value)
        return categories[name](letter) if name in categories else (letter.isalnum() or letter == "_")
    return False


def repeats(parsed: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield, for each repeat in a pattern, the text before it and the repeated text."""
    for part in parsed:
        lead = before + sample(parsed, part)
        kind, value = str(part[0]), part[1]
        if kind.endswith("REPEAT"):
            yield lead, sample(value[2])
            yield from repeats(value[2], lead)
        elif kind == "SUBPATTERN":
            yield from repeats(value[3], lead)
        elif kind == "BRANCH":
            for branch in value[1]:
                yield from repeats(branch, lead)


def inputs(pattern: str) -> Iterator[str]:
    """Yield a pattern's worst inputs of a megabyte: each of its repeats, the text before one, and both in turn."""
    for lead, repeated in set(repeats(re._parser.parse(pattern))):  # type: ignore[attr-defined]
        for unit in {repeated, lead + repeated, lead, lead + repeated * 50}:
            if unit:
                yield lead + unit * (_MEGABYTE // len(unit)) + "\0"


def slowest(pattern: str, used: str) -> float:
    """Return the longest time of a search, or of the code's use of the pattern."""
    compiled, longest = re.compile(pattern), 0.0
    for text in inputs(pattern):
        started = time.process_time()
        for _ in getattr(compiled, used)(text) or () if used == "finditer" else [getattr(compiled, used)(text)]:
            pass
        longest = max(longest, time.process_time() - started)
    return longest


@pytest.mark.parametrize(("path", "pattern", "used"), expressions())
def test_expressions_take_little_time(path: str, pattern: str, used: str) -> None:
    def end(*_: object) -> None:
        raise TimeoutError(f"{path}: {pattern!r}")

    before = signal.signal(signal.SIGVTALRM, end)  # a search looks at signals as it goes
    signal.setitimer(signal.ITIMER_VIRTUAL, 20)
    try:
        assert slowest(pattern, used) < 1, path
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_slow_expressions_are_found() -> None:
    texts = list(inputs(r"\[\s*([^\]]+?)\s*\]"))
    assert any(text.count(" ") > _MEGABYTE // 2 for text in texts)
    assert len(expressions()) > 15
