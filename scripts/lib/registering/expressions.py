"""Check an Argo retry expression (the language expr), as far as possible without Argo.

Comparisons, `in`, `not in`, `&&`, `||`, `!`, calls, lists, texts and numbers are parsed. If an expression has anything
else, only the brackets and quotes are checked.
"""

import ast
import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?P<word>[A-Za-z_][\w]*)|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<sign>&&|\|\||[=!<>]=|\?\?|\?\.|\.\.|\*\*|[-+*/%<>!()\[\]{},.?:|;=#])|(?P<space>\s+)|(?P<bad>.)""",
    re.DOTALL,
)
_PYTHON = {"&&": " and ", "||": " or ", "!": " not ", "true": "True", "false": "False", "nil": "None"}
_OPERATORS = {"matches", "contains", "startsWith", "endsWith"}
_OTHER = {"?", "??", "?.", ":", "|", "..", ";", "#", "{", "}", "=", "let", "if"}
_PAIRS = {")": "(", "]": "[", "}": "{"}
# The attributes of lastRetry that Argo defines, all of them texts.
_LAST_RETRY = ("exitCode", "status", "duration", "message")
# Argo's functions, and those of expr and sprig that a retry expression may use.
_FUNCTIONS = {
    *("asInt", "asFloat", "string", "jsonpath", "toJson", "int", "float", "len", "abs", "min", "max", "lower", "upper"),
    *(
        "trim",
        "split",
        "join",
        "hasPrefix",
        "hasSuffix",
        "indexOf",
        "all",
        "any",
        "none",
        "one",
        "filter",
        "map",
        "now",
    ),
    *(
        "duration",
        "date",
        "type",
        "fromJSON",
        "toJSON",
        "get",
        "keys",
        "values",
        "first",
        "last",
        "ceil",
        "floor",
        "round",
    ),
}
_ROOTS = {"lastRetry", "retries", "sprig", "workflow", "inputs", "env"}


def problems(expression: str) -> Iterator[str]:
    """Yield a line for each fault of a retry expression; nothing if it cannot be parsed here."""
    tokens = [(found.lastgroup or "", found[0]) for found in _TOKEN.finditer(expression)]
    bad = [text for kind, text in tokens if kind == "bad"]
    if bad:
        yield f"{expression!r} has {bad[0]!r} where none can be; expected pairs of quotes and operators of expr"
        return
    open_brackets: list[str] = []
    for kind, text in tokens:
        if kind == "sign" and text in "([{":
            open_brackets.append(text)
        elif kind == "sign" and text in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[text]):
            yield f"{expression!r} has a {text!r} that closes nothing; correct the brackets"
            return
    if open_brackets:
        yield f"{expression!r} has a {open_brackets[-1]!r} that is not closed; correct the brackets"
    elif not any(text in _OTHER for kind, text in tokens if kind in ("sign", "word")):
        yield from _parsed(expression, tokens)


def _parsed(expression: str, tokens: list[tuple[str, str]]) -> Iterator[str]:
    """Parse an expression as Python, after the few differing words and signs of this part of expr are replaced."""
    try:
        tree = ast.parse("".join(_as_python(kind, text) for kind, text in tokens).strip(), mode="eval")
    except SyntaxError:
        yield f"{expression!r} is not an expression of expr; correct it, as in asInt(lastRetry.exitCode) not in [0, 1]"
        return
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lastRetry":
            if node.attr not in _LAST_RETRY:
                yield f"lastRetry.{node.attr} is unknown; expected one of {', '.join(_LAST_RETRY)}"
        elif isinstance(node, ast.Name) and node.id not in (_FUNCTIONS if id(node) in called else _ROOTS):
            what = "function" if id(node) in called else "name"
            yield f"the {what} {node.id} is unknown; expected e.g. lastRetry, asInt"


def _as_python(kind: str, text: str) -> str:
    if kind == "text":
        return repr(text[1:-1])
    if kind == "word" and text in _OPERATORS:
        return "=="
    return text if text == "!=" else _PYTHON.get(text, text)
