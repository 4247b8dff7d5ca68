"""Attribute values: how Tator converts them, fills them in, and fails on some when it writes them in bulk."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .errors import RefusedError

AttributeTypes = Iterable[Mapping[str, Any]]

SECTIONS = "tator_user_sections"  # an attribute that every media has, whatever its type says

_NAME = re.compile(r"^[A-Za-z0-9_\s\-><%:&#;(),@]+$")
_DTYPE_NAMES = {"bool": "boolean", "int": "integer"}


def convert(kind: Mapping[str, Any], value: Any) -> Any:
    """Convert a value to its attribute's type, as leniently as Tator does: `"0.5"` is a float, 5 a string.

    Raises:
        RefusedError: when it cannot be converted, or is outside the type's bounds or choices.
    """
    name, dtype = kind["name"], kind["dtype"]
    refused = RefusedError(f"Invalid attribute value {value} for {_DTYPE_NAMES.get(dtype, dtype)} attribute {name}")
    if dtype == "bool":
        found = value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
        if found is None:
            raise refused
        return found
    if dtype in ("int", "float"):
        try:
            number = int(value) if dtype == "int" else float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise refused from error
        if number < kind.get("minimum", -math.inf):
            raise RefusedError(f"{value} is below minimum {kind['minimum']} for {dtype} attribute {name}!")
        if number > kind.get("maximum", math.inf):
            raise RefusedError(f"{value} is above maximum {kind['maximum']} for {dtype} attribute {name}!")
        return number
    if dtype == "enum" and value not in kind["choices"]:
        raise RefusedError(f"{refused}. Valid choices are: {kind['choices']}.")
    if dtype == "datetime":
        try:
            return datetime.fromisoformat(value).isoformat()
        except (TypeError, ValueError) as error:
            raise refused from error
    return value


def check_type(kind: dict[str, Any]) -> None:
    """Check an attribute that is to be added to a type.

    Raises:
        RefusedError: when a field is missing, or its name has a character that Tator does not allow.
    """
    if kind["name"].startswith("$"):
        raise RefusedError("Attribute type name can not start with '$' character")
    if "dtype" not in kind:
        raise RefusedError("Attribute type definition missing 'dtype' field")
    for dtype, field in (("enum", "choices"), ("float_array", "size")):
        if kind["dtype"] == dtype and field not in kind:
            raise RefusedError(f"{dtype} attribute type definition missing '{field}' field")
    if not _NAME.match(kind["name"]):
        raise RefusedError(
            f"Name '{kind['name']}' is not valid; it must only contain spaces, hyphens, underscores, alphanumeric "
            "characters, or the special characters ,,>,<,%,:,&,;,@,(, or )"
        )


def complete(kinds: AttributeTypes, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new object's attributes: the given ones that its type has, and the type's defaults.

    Names that the type lacks are dropped without an error.

    Raises:
        RefusedError: when a value is unfit, or a required one is missing.
    """
    found = {}
    for kind in kinds:
        name = kind["name"]
        if name in given:
            found[name] = convert(kind, given[name])
        elif kind["dtype"] == "datetime" and kind.get("use_current"):
            found[name] = datetime.now(UTC).isoformat()
        elif kind["dtype"] != "datetime" and "default" in kind:
            found[name] = kind["default"]
        elif kind.get("required", True):
            remedy = (
                "Set `use_current` to True" if kind["dtype"] == "datetime" else "Set a `default` on the attribute type"
            )
            raise RefusedError(f'Missing attribute value for "{name}". {remedy} or supply a value.')
    refuse_nul(found)
    return found


def changes(entity_type: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attribute changes that a patch asks for, converted.

    Here, unlike in a creation, a name that the type lacks is refused.
    """
    kinds = {kind["name"]: kind for kind in entity_type["attribute_types"]}
    found = {}
    for name, value in wanted.get("attributes", {}).items():
        if name == SECTIONS:
            found[name] = value
        elif name in kinds:
            found[name] = convert(kinds[name], value)
        else:
            raise RefusedError(f"Invalid attribute {name} for entity type {entity_type['name']}")
    for name in (*wanted.get("reset_attributes", []), *wanted.get("null_attributes", [])):
        if name not in kinds:
            raise RefusedError(repr(name))
        found[name] = None if name in wanted.get("null_attributes", []) else kinds[name].get("default")
    return found


def refuse_unquotable(values: Mapping[str, Any]) -> None:
    """Refuse values that Tator inserts into SQL unquoted when it changes attributes in place.

    Every media patch and every localization patch by id does that. It fails with a quote, a percent sign, a tab and a
    NUL; newline, double quote and backslash are escaped.
    """
    refuse_nul(values)
    for name, value in values.items():
        if not isinstance(value, str):
            continue
        message = ""
        if "'" in value:
            before, after = value.split("'", 1)
            token = next(iter(re.findall(r"\w+|\S", after + '"')))
            line = f'LINE 1: ...attributes", \'{{"{name}"}}\',\'"{value}"\', true)...'
            caret = " " * line.index(f"{before}'{after}") + " " * (len(before) + 1) + "^"
            message = f'syntax error at or near "{token}"\n{line}\n{caret}\n'
        elif "%" in value:
            message = "only '%s', '%b', '%t' are allowed as placeholders"
        elif any(ord(letter) < 32 and letter != "\n" for letter in value):
            message = "invalid input syntax for type json\nDETAIL:  Character must be escaped.\n"
        if message:
            raise RefusedError(message, details=message)


def refuse_nul(values: Mapping[str, Any]) -> None:
    """Refuse a NUL, which PostgreSQL cannot store in JSON."""
    if any(isinstance(value, str) and "\0" in value for value in values.values()):
        message = "unsupported Unicode escape sequence\nDETAIL:  \\u0000 cannot be converted to text.\n"
        raise RefusedError(message, details=message)
