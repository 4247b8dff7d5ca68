"""Write records to files and read them; the models are in scripts/lib/records/."""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json

Record = TypeVar("Record")
# The types of most values, which are checked first, as a record is written and read for each media.
_PLAIN = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True)
class Key:
    """Further properties of a record's key, besides the type of its value.

    Attributes:
        description: the description in the schema.
        part: the part of the schema (`$defs`) that describes the value.
        schema: the schema of the value, if not that of its type.
        only: the only state of the record with which the key is written; None for every state.
        optional: whether the key is left out if its value is None.
        between_jobs: whether the key is only passed between jobs, and is not in the schema.
    """

    description: str = ""
    part: str | None = None
    schema: Mapping[str, Any] | None = None
    only: str | None = None
    optional: bool = False
    between_jobs: bool = False


class DeclaredKey(NamedTuple):
    """A key that a record's model declares."""

    name: str
    annotation: Any
    key: Key
    needed: bool


def declared_keys(kind: type) -> tuple[DeclaredKey, ...]:
    """Return the keys of a record's model, in the order in which they are written."""
    return _declared(kind)


@cache
def _declared(kind: type) -> tuple[DeclaredKey, ...]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in dataclasses.fields(kind):
        annotation, key = hints[field.name], Key()
        if get_origin(annotation) is Annotated:
            annotation, key = get_args(annotation)[:2]
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        found.append(DeclaredKey(field.name, annotation, key, needed))
    return tuple(found)


def write_record(path: Path, record: Any, *, synced: bool = True) -> None:
    """Write a record atomically; see files.replacing for `synced`."""
    write_json(path, as_content(record), synced=synced)


def read_record(kind: type[Record], path: Path) -> Record:
    """Return the record in a file.

    Raises:
        PipelineError: it is not JSON, as of a file that was cut, or a key is missing.
    """
    content = read_content(path)
    with missing_key_named(path):
        return from_content(kind, content)


def read_content(path: Path) -> Any:
    """Return the JSON content of a file that a run wrote.

    Raises:
        PipelineError: it is not JSON, as of a file that was cut.
    """
    try:
        return read_json(path)
    except ValueError as error:
        raise PipelineError(
            f"{path}: it is not JSON ({error}), expected a record of a run; remove the file, and make it again by the "
            "same command"
        ) from None


@contextmanager
def missing_key_named(path: Path) -> Iterator[None]:
    """Convert a KeyError to an error that names the file.

    Raises:
        PipelineError: a KeyError was raised.
    """
    try:
        yield
    except KeyError as error:
        raise PipelineError(
            f"{path}: the key {error.args[0]} is missing in it, expected all that docs/records.schema.yaml requires; "
            f"remove the file, and make it again by the same command"
        ) from None


def as_content(record: Any) -> Any:
    """Return a record as JSON content: the keys in the order of the model, without those that do not apply."""
    kind = type(record)
    if kind in _PLAIN:
        return record
    if isinstance(record, list):
        return [as_content(each) for each in record]
    if isinstance(record, dict):
        return {name: as_content(each) for name, each in record.items()}
    if not dataclasses.is_dataclass(kind):
        return record
    content = {}
    for name, _, key, _ in declared_keys(kind):
        value = getattr(record, name)
        applies = key.only is None or key.only == getattr(record, "state", None)
        if applies and not (key.optional and value is None):
            content[name] = value if type(value) in _PLAIN else as_content(value)
    return content


def from_content(kind: type[Record], content: Mapping[str, Any]) -> Record:
    """Return a record from JSON content; unknown keys, as a later version may write, are ignored.

    Raises:
        KeyError: a key is missing.
    """
    return kind(
        **{
            name: value if type(value := content[name]) in _PLAIN else _value(annotation, value)
            for name, annotation, _, needed in declared_keys(kind)
            if needed or name in content
        }
    )


def without_none(annotation: Any) -> Any:
    """Return the type X of an annotation `X | None`; other annotations unchanged."""
    if get_origin(annotation) in (Union, types.UnionType):
        inside = [one for one in get_args(annotation) if one is not type(None)]
        return inside[0] if len(inside) == 1 else annotation
    return annotation


def without_key(annotation: Any) -> Any:
    """Return the type X of an annotation `Annotated[X, Key(...)]`; other annotations unchanged."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _value(annotation: Any, value: Any) -> Any:
    kind = without_none(without_key(annotation))
    if value is None:
        return None
    if get_origin(kind) is list:
        return [_value(get_args(kind)[0], each) for each in value]
    if get_origin(kind) is dict:
        return {name: _value(get_args(kind)[1], each) for name, each in value.items()}
    return from_content(kind, value) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else value
