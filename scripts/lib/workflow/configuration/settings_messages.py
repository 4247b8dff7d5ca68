"""Write messages about settings that are invalid by the schema."""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from jsonschema import ValidationError

from scripts.lib.text.display_text import LONGEST_SHOWN, shown

# The words of YAML, and those for the types of JSON Schema.
_WORDS = {"None": "null", "False": "false"}
# Texts that would be valid numbers; ids in variables are text too, but their digits were converted before.
_NUMBERS = {
    "integer": re.compile(r"[0-9]{1,18}", re.ASCII),
    "number": re.compile(r"[0-9]+(\.[0-9]*)?(e[-+]?[0-9]+)?", re.ASCII | re.IGNORECASE),
}
_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "keys with values",
    "string": "text",
}


def explain(error: ValidationError) -> Iterator[str]:
    """Yield a line for each problem: key, value, expectation, nearest known key."""
    path = ".".join(part if isinstance(part, str) else shown(part) for part in error.absolute_path)
    rule: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = list(schema["properties"])
        for key in sorted(set(instance) - set(known), key=str):
            yield f"{path}.{_key(key)}: unknown key{nearest(str(key), known)}".lstrip(".")
    elif error.validator == "required":
        for key in [key for key in rule if key not in instance]:
            yield f"{path}.{key}: missing; {_expectation(schema['properties'][key])}".lstrip(".")
    elif instance is None:
        yield f"{path}: missing; {_expectation(schema)}"
    elif error.validator in ("minItems", "minLength") and not instance:
        what = "entry" if error.validator == "minItems" else "character"
        expected = f"expected one {what} at least: {schema.get('description', '')}"
        yield f"{path}: {shown(instance)} is invalid, as it is empty; {expected}"
    else:
        too_large = error.validator == "type" and type(instance) is int and "integer" in rule
        wrong = "too large" if too_large else "invalid"
        if error.validator == "type" and _is_text_without_quotes(instance, schema):
            wrong += ", as it is not in quotes"
        elif error.validator == "type" and _is_number_as_text(instance, schema):
            wrong += ", as it is text: a number has no quotes, and a point before its e (1.0e-3)"
        yield f"{path}: {shown(instance)} is {wrong}; {_expectation(schema, str(error.validator))}"


def _is_text_without_quotes(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether any text is expected, and YAML has read something else, such as a date, as quotes are missing."""
    is_any_text = schema["type"] in ("string", ["string", "null"]) and not schema.keys() & {"enum", "pattern"}
    return is_any_text and isinstance(value, bool | int | float | date)


def _is_number_as_text(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a number is expected, and its text was given; YAML also reads `1e-3` as text."""
    expected = [_NUMBERS[kind] for kind in _kinds(schema) if kind in _NUMBERS]
    return isinstance(value, str) and any(number.fullmatch(value) for number in expected)


def _key(key: Any) -> str:
    """Return a key, which in YAML may be other than text, for a message: in quotes unless it is a plain word."""
    is_word = isinstance(key, str) and key.isidentifier() and key.isascii() and len(key) <= LONGEST_SHOWN
    return key if is_word else shown(key)


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of JSON Schema that a value may have, without null."""
    kinds = schema.get("type", [])
    return [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]


def _expectation(schema: Mapping[str, Any], broken: str = "type") -> str:
    """Return what is expected of a value.

    Args:
        schema: the value's schema.
        broken: JSON Schema's keyword that the value does not fulfil.
    """
    if "enum" in schema:
        return "expected one of " + ", ".join(_WORDS.get(value, value) for value in map(str, schema["enum"]))
    kinds = _kinds(schema)
    if broken in ("minItems", "maxItems"):
        expected = f" {schema[broken]} entries"
    elif broken == "uniqueItems":
        expected = " each entry once"
    elif broken == "type" or not {"string", "array", "object"} & set(kinds):
        expected = "".join(
            f" {words}" for words in (" or ".join(map(_KINDS.__getitem__, kinds)), _range(schema)) if words
        )
    else:
        expected = ""  # the value has the type
    description = schema.get("description", schema.get("pattern", ""))
    return f"expected{expected}" + (f": {description}" if description else "")


def _range(schema: Mapping[str, Any]) -> str:
    least, above, most = (schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if least is not None:
        return f"from {least} to {most}" if most is not None else f"of at least {least}"
    return f"above {above}, at most {most}" if above is not None else ""


def nearest(key: str, known: list[str]) -> str:
    """Return the end of a message about an unknown key: the known key with the most similar spelling, if any."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
