"""Write the parts of docs/records.schema.yaml that the models of scripts/lib/records.py describe: `make settings`.

The other parts are kept as they are.
"""

import re
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from scripts.lib.files import write_bytes
from scripts.lib.record_files import Key, declared_keys, without_none
from scripts.lib.records import DetectionRecord, DownloadRecord, MediaRecord, TrackUploadRecord, UploadRecord

SCHEMA = Path(__file__).parents[3] / "docs" / "records.schema.yaml"
# By the name of the part.
MODELS: Mapping[str, type] = {
    "record": MediaRecord,
    "download": DownloadRecord,
    "detection": DetectionRecord,
    "upload": UploadRecord,
    "track_upload": TrackUploadRecord,
}
_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def with_models(text: str) -> str:
    """Return the schema's text with the models' parts written anew.

    Raises:
        ValueError: the text has no such part.
    """
    for name, model in MODELS.items():
        part = yaml.safe_dump({name: described(model)}, sort_keys=False, allow_unicode=True, width=110)
        indented = "".join(f"  {line}\n" for line in part.splitlines())
        found = re.findall(rf"^  {name}:\n(?:   .*\n)+", text, re.MULTILINE)
        if len(found) != 1:
            raise ValueError(f"the schema has {len(found)} parts {name!r}; expected one, to be written anew")
        text = text.replace(found[0], indented)
    return text


def described(model: type) -> dict[str, Any]:
    """Return the JSON schema of a record."""
    keys = declared_keys(model)
    return {
        "description": model.__doc__,
        "type": "object",
        "required": [key.name for key in keys if key.needed],
        "additionalProperties": False,
        "properties": {name: _property(annotation, key) for name, annotation, key, _ in keys if not key.between_jobs},
    }


def _property(annotation: Any, key: Key) -> dict[str, Any]:
    said = {"description": key.description} if key.description else {}
    if key.part is not None:
        return {**said, "$ref": f"#/$defs/{key.part}"}
    if key.schema:
        return {**said, **key.schema}
    kind = without_none(annotation)
    found = _of_type(kind)
    # A schema that is there and empty says that the value is never null.
    if kind is not annotation and key.schema is None and "type" in found:
        found = {**found, "type": [found["type"], "null"]}
    return {**found, **said} if is_dataclass(kind) else {**said, **found}


def _of_type(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is list:
        return {"type": "array", "items": _of_type(get_args(kind)[0])}
    if is_dataclass(kind) and isinstance(kind, type):
        return described(kind)
    if get_origin(kind) in (Union, types.UnionType) or kind not in _TYPES:
        raise TypeError(f"{kind}: no JSON type is known for it; expected one of {', '.join(map(str, _TYPES))}")
    return {"type": _TYPES[kind]}


def main() -> None:
    """Write the file."""
    write_bytes(SCHEMA, with_models(SCHEMA.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
