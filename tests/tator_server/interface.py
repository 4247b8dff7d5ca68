"""The interface as Python: operations, their query parameters and the checks of their bodies.

They come from openapi.yaml, which the client downloads too.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .errors import NotCoveredError, RefusedError

TEXT = (Path(__file__).parent / "openapi.yaml").read_text(encoding="utf-8")
ETAG = f'"{hashlib.md5(TEXT.encode(), usedforsecurity=False).hexdigest()}"'
DOCUMENT: dict[str, Any] = yaml.load(TEXT, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

# Tator filters by these as well; an operation serves those that openapi.yaml names for it. The others are refused:
# ignoring them, as Tator ignores unknown names, would give wrong answers.
NOT_COVERED = frozenset(
    [
        "section",
        "multi_section",
        "related_id",
        "attribute_distance",
        "encoded_search",
        "encoded_related_search",
        "presign_only",
        "related_attribute",
        "object_search",
        "float_array",
        "state_ids",
        "frame_state_ids",
        "localization_ids",
        "media_query",
        "new_elemental_id",
        "user_elemental_id",
        "concat",
        "url",
        "primary_section",
    ]
)


@dataclass(frozen=True)
class Operation:
    """One operation of openapi.yaml."""

    name: str
    method: str
    path: str
    query: Mapping[str, Mapping[str, Any]]
    body: Mapping[str, Any] | None

    @property
    def rule(self) -> str:
        """Return the path as Flask writes it."""
        return self.path.replace("{", "<int:").replace("}", ">").replace("<int:elemental_id>", "<string:elemental_id>")

    @property
    def success(self) -> int:
        """Return the status of a successful answer."""
        return 201 if self.method == "POST" else 200

    @cached_property
    def _checker(self) -> Any:
        import jsonschema  # takes 0.2 s, and is needed for bodies only

        return jsonschema.Draft4Validator({**_nullable(self.body), "components": _nullable(DOCUMENT["components"])})

    def read_query(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Convert the declared query parameters; drop all others, as Tator does."""
        refuse_uncovered(arguments.keys() - self.query.keys())
        found = {}
        for name, schema in self.query.items():
            if name in arguments:
                found[name] = _convert(name, arguments[name], schema)
            elif "default" in schema:
                found[name] = schema["default"]
        return found

    def check_body(self, body: object) -> None:
        """Refuse a body that does not fit the operation's schema; the error repeats the whole body, as in Tator.

        Raises:
            RefusedError: with the whole body in its details.
        """
        if isinstance(body, dict):
            refuse_uncovered(body.keys() - set(_declared(self.body or {})))
        problem = next(iter(self._checker.iter_errors(body)), None)
        if problem is not None:
            kind = (self.body or {}).get("type") or ("any" if "oneOf" in (self.body or {}) else "object")
            message = problem.message
            if "oneOf" in (self.body or {}):
                message = f"{body!r} is not valid under any of the given schemas"
            details = f'Value {body!r} not valid for schema of type {kind}: (<ValidationError: "{message}">,)'
            raise RefusedError("Request body validation error", details=details)


def _declared(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that a body's schema names."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("properties", {})
    for one in schema.get("oneOf", ()):
        yield from _declared(one)


def refuse_uncovered(names: Iterable[str]) -> None:
    """Refuse parameters that the real server uses and this one does not."""
    for name in names:
        if name in NOT_COVERED or name.startswith("related_attribute"):
            raise NotCoveredError(f"'{name}'")


def operations() -> Iterator[Operation]:
    """Yield every operation of openapi.yaml."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            yield Operation(
                name=operation["operationId"],
                method=method.upper(),
                path=path,
                query={p["name"]: p["schema"] for p in operation["parameters"] if p["in"] == "query"},
                body=content["application/json"]["schema"] if content else None,
            )


def _convert(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    if schema["type"] == "array":
        return [_convert(name, part, schema["items"]) for part in text.split(",")]
    value: Any = text
    try:
        if schema["type"] == "integer":
            value = int(text)
        elif schema["type"] == "boolean":
            value = {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except (ValueError, KeyError) as error:
        details = f"Failed to cast value to {schema['type']} type: {text}"
        raise RefusedError(f"Query parameter error: {name}", details=details) from error
    allowed = value in schema.get("enum", [value]) and (
        not isinstance(value, int) or schema.get("minimum", value) <= value <= schema.get("maximum", value)
    )
    if not allowed:
        details = f"Value {value} not valid for schema of type {schema['type']}"
        raise RefusedError(f"Query parameter error: {name}", details=details)
    return value


def _nullable(schema: Any) -> Any:
    """Return an OpenAPI 3.0 schema as JSON Schema, which spells `nullable` as a second type."""
    if isinstance(schema, list):
        return [_nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _nullable(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable"):
        plain["type"] = [plain["type"], "null"]
    return plain
