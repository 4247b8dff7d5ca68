"""Read YAML; all faults raise the same type of error."""

import re
from typing import Any

import yaml

from scripts.lib.text.display_text import shown

# The largest text from others: PyYAML takes about ten seconds for it.
LARGEST_FROM_OTHERS = 2**19
_OCTAL = re.compile(r"[-+]?0_?[0-7]+(_[0-7]+)*")


class MisreadError(ValueError):
    """A text with a part that is not used as it is written."""


class _Loader(yaml.SafeLoader):
    """Refuse a key that a mapping has twice, as PyYAML and JSON keep only the last of its values."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        _require_different_keys(node)
        return node


def _require_different_keys(node: yaml.MappingNode) -> None:
    found: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if name in found:
            where = f"lines {found[name]} and {line}" if found[name] != line else f"line {line}"
            remedy = "join the two" if isinstance(value, yaml.MappingNode) else "remove one"
            raise MisreadError(f"{shown(key.value)} is given twice ({where}); {remedy}")
        found[name] = line


def _require_decimal(node: yaml.ScalarNode) -> None:
    """Refuse a number that YAML takes for octal, such as an id with zeros before it."""
    if node.tag != "tag:yaml.org,2002:int" or not _OCTAL.fullmatch(node.value):
        return
    written, octal = int(node.value), int(node.value, 8)
    if written != octal:
        raise MisreadError(
            f"line {node.start_mark.line + 1}: {node.value} is the number {octal} in YAML; write {written} or {octal}, "
            f"or put {node.value} in quotes"
        )


def check(text: str) -> None:
    """Refuse settings of which another value would be used: keys that are given twice, and octal numbers.

    Args:
        text: YAML or JSON that was already parsed, and so is not nested too deeply.

    Raises:
        MisreadError: with the line.
    """
    # JSON may be indented with tabs, which YAML does not allow. A variable that is not UTF-8 has surrogates.
    text = text.replace("\t", " ").encode("utf-8", "replace").decode()
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # C takes a tenth of the time
    except (yaml.YAMLError, RecursionError):
        return  # a text that only another parser accepts
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _require_different_keys(node)
            pending += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.ScalarNode):
            _require_decimal(node)


def parse(text: str) -> Any:
    """Return the content of a YAML text.

    Raises:
        MisreadError: a mapping has the same key twice.
        ValueError: the text is not YAML, has a value that Python cannot represent, or is nested too deeply.
    """
    return _parse(text, _Loader)


def _parse(text: str, kind: type[yaml.SafeLoader]) -> Any:
    try:
        loader = kind(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except MisreadError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # PyYAML raises any of these for a value such as `2020-13-40` or `!!int x`.
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def parse_from_others(text: str) -> Any:
    """Return the content of a YAML text that comes with a network: small, and without aliases.

    With aliases a few lines can expand to billions of values.

    Raises:
        ValueError: as for `parse`, or the text is too large, or has an alias.
    """
    if len(text) > LARGEST_FROM_OTHERS:
        raise ValueError(f"it has {len(text)} characters, expected at most {LARGEST_FROM_OTHERS}")
    found = _parse(text, yaml.SafeLoader)
    names = [event.anchor for event in yaml.parse(text, yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)]
    if names:
        raise ValueError(f"it has the alias {str(names[0])[:100]!r}, expected none")
    return found
