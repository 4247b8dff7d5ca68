"""Find what an API server with Argo's full CRDs refuses in a workflow: unknown fields, wrong types, bad quantities.

The server checks a workflow before Argo fills in any parameter.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_SCHEMA = Path(__file__).with_name("argo_fields.json")
_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?")
_BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {unit: Decimal(1000) ** power for power, unit in enumerate("numkMGTPE", -3) if unit not in "kMGTPE"}
_DECIMAL |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)}
_TYPES = {
    "string": "a text, in quotes",
    "integer": "a whole number, without quotes",
    "number": "a number, without quotes",
    "boolean": "true or false, without quotes",
    "array": "a list",
    "object": "a mapping",
}
_LITERAL = (
    "the field is read before parameters are filled in: write the value itself, or let it follow a parameter by a YAML "
    "anchor, as in `value: &storage_size 100Gi` and `storage: *storage_size`"
)


def problems(workflow: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each field that an API server with Argo's full CRDs refuses or drops.

    Each line names the field, its value, what was expected, and the remedy.
    """
    for error in sorted(_validator(None).iter_errors(workflow), key=lambda one: one.json_path):
        yield from _explained(error, "")


def patch_problems(patch: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield a line for each field of a podSpecPatch that has a wrong type; fields that Argo's types lack are left out.

    Args:
        patch: a part of a pod's spec.
        place: the path of the patch, for the messages.
    """
    for key, value in patch.items():
        for error in sorted(_validator(key).iter_errors(value), key=lambda one: one.json_path):
            yield from _explained(error, f"{place}.{key}")


def quantity(value: object) -> Decimal | None:
    """Return the value of a quantity such as 500m or 2Gi, in units; None if it is not a quantity."""
    found = _QUANTITY.fullmatch(str(value))
    if not found:
        return None
    number, binary, decimal, exponent = found.groups()
    factor = _BINARY[binary] if binary else _DECIMAL[decimal] if decimal else Decimal(10) ** int(exponent or 0)
    return Decimal(number) * factor


@cache
def _validator(key: str | None) -> Draft202012Validator:
    """Return the validator of a workflow (None), or of a field of a pod's spec."""
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    if key is None:
        return Draft202012Validator(schema)
    pod = _target(schema, _target(schema, schema["properties"]["spec"])["properties"]["templates"]["items"])[
        "properties"
    ]
    container = {name: value for name, value in _target(schema, pod["container"]).items() if name != "required"}
    containers = {"type": "array", "items": container}  # a patch has a part of each container
    parts = {
        **{name: pod[name] for name in ("tolerations", "volumes", "nodeSelector", "affinity", "hostAliases")},
        "containers": containers,
        "initContainers": containers,
        "terminationGracePeriodSeconds": {"type": "integer", "minimum": 0},
    }
    return Draft202012Validator({"$defs": schema["$defs"], **parts.get(key, {})})


def _target(schema: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    """Return the definition that a reference names."""
    return dict(schema["$defs"][reference["$ref"].rpartition("/")[2]])


def _explained(error: Any, place: str) -> Iterator[str]:
    path = place + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    path, value = path.removeprefix("."), error.instance
    match error.validator:
        case "additionalProperties":
            yield from _unknown(error, path)
        case "required":
            missing = [key for key in error.validator_value if key not in value]
            yield f"{path or 'the manifest'} has no {', '.join(missing)}; expected it: add it"
        case "pattern" if "KMGTPE" in str(error.validator_value):
            remedy = _LITERAL if "{{" in str(value) else "correct the value"
            yield f"{path} is {value!r}; expected a quantity such as 1, 500m or 20Gi; {remedy}"
        case "enum":
            choices = ", ".join(str(one) for one in error.validator_value if one != "")
            yield f"{path} is {value!r}; expected one of {choices}; correct the value"
        case "type" if "{{" in str(value):
            yield f"{path} is {value!r}; expected {_TYPES[error.validator_value]}; {_LITERAL}"
        case "type":
            yield f"{path} is {_shown(value)}; expected {_TYPES[error.validator_value]}"
        case "anyOf":
            yield f"{path} is {_shown(value)}; expected a whole number, or a text in quotes"
        case _:
            yield f"{path} is {_shown(value)}; expected {error.validator} {error.validator_value}; correct the value"


def _unknown(error: Any, path: str) -> Iterator[str]:
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    for key in sorted(set(error.instance) - set(known)):
        close = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "take it out"
        yield f"{path}.{key}".removeprefix(".") + f" is unknown to Argo, and would be refused or dropped; {hint}"


def _shown(value: object) -> str:
    text = "empty" if value is None else repr(value)
    return text if len(text) < 80 else f"{text[:80]}..."
