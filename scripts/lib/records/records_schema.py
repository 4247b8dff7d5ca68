"""Write the parts of docs/records.schema.yaml that the models of scripts/lib/records/ describe: `make settings`.

The other parts are not changed.
"""

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml

from scripts.lib.files import write_bytes
from scripts.lib.records import (
    DestinationRecord,
    DetectionRecord,
    DownloadRecord,
    MarksRecord,
    MediaRecord,
    TrackUploadRecord,
    UploadRecord,
)
from scripts.lib.records.counts import CountsInTator
from scripts.lib.records.evaluation import BestF1, Curve, EvaluationRecord, Mistake, TrackEvaluationRecord
from scripts.lib.records.match import MatchesRecord, MatchRecord
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.network_changes import ConversionRecord, QuantizationRecord
from scripts.lib.records.record_files import Key, declared_keys, without_key, without_none
from scripts.lib.records.summary import MediaAttributes, SummaryRecord
from scripts.lib.records.tracks import TracksRecord

SCHEMA = Path(__file__).parents[3] / "docs" / "records.schema.yaml"
# The models by the names of their parts. If a record contains another of these models, its schema refers to that part.
MODELS: Mapping[str, type] = {
    "record": MediaRecord,
    "download": DownloadRecord,
    "provenance": ProvenanceRecord,
    "conversion": ConversionRecord,
    "quantization": QuantizationRecord,
    "destination": DestinationRecord,
    "match": MatchRecord,
    "matches": MatchesRecord,
    "detection": DetectionRecord,
    "upload": UploadRecord,
    "track_upload": TrackUploadRecord,
    "media_attributes": MediaAttributes,
    "tracks": TracksRecord,
    "counts_in_tator": CountsInTator,
    "marks": MarksRecord,
    "summary": SummaryRecord,
    "mistake": Mistake,
    "best_f1": BestF1,
    "curve": Curve,
    "evaluation": EvaluationRecord,
    "track_evaluation": TrackEvaluationRecord,
}
_PARTS = {model: name for name, model in MODELS.items()}


class _Dumper(yaml.SafeDumper):
    """Writes repeated values in full, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an alias."""
        return True


_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def with_models(text: str) -> str:
    """Return the schema's text with the models' parts replaced.

    Raises:
        ValueError: the text has no such part.
    """
    for name, model in MODELS.items():
        part = yaml.dump({name: schema_of(model)}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
        indented = "".join(f"  {line}\n" for line in part.splitlines())
        found = re.findall(rf"^  {name}:\n(?:   .*\n)+", text, re.MULTILINE)
        if len(found) != 1:
            raise ValueError(f"the schema has {len(found)} parts {name!r}; expected one, to replace it")
        text = text.replace(found[0], indented)
    return text


def schema_of(model: type) -> dict[str, Any]:
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
    description = {"description": key.description} if key.description else {}
    if key.part is not None:
        return {**description, "$ref": f"#/$defs/{key.part}"}
    if key.schema:
        return {**description, **key.schema}
    kind = without_none(annotation)
    found = _schema_of_type(kind)
    # An empty schema means that the value is never null.
    if kind is not annotation and key.schema is None:
        found = _or_null(found)
    return {**found, **description} if is_dataclass(kind) else {**description, **found}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema


def _schema_of_type(annotation: Any) -> dict[str, Any]:
    kind = without_key(annotation)
    inside, origin = get_args(kind), get_origin(kind)
    if kind is not annotation:
        found = _property(kind, get_args(annotation)[1])
    elif kind is Any:
        found = {}
    elif kind in _PARTS:
        found = {"$ref": f"#/$defs/{_PARTS[kind]}"}
    elif origin is dict:
        values = _schema_of_type(inside[1])
        found = {"type": "object", **({"additionalProperties": values} if values else {})}
    elif origin is list:
        found = {"type": "array", "items": _schema_of_type(inside[0])}
    elif origin is Literal:
        found = {"enum": list(inside)}
    elif is_dataclass(kind) and isinstance(kind, type):
        found = schema_of(kind)
    elif origin is None and kind in _TYPES:
        found = {"type": _TYPES[kind]}
    else:
        raise TypeError(f"{kind}: no JSON type is known for it; expected one of {', '.join(map(str, _TYPES))}")
    return found


def main() -> None:
    """Write the file."""
    write_bytes(SCHEMA, with_models(SCHEMA.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
