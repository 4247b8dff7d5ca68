"""Selection of objects for lists, counts and bulk changes.

The pitfalls are those of the real server: an empty list of ids filters nothing, and neither does an attribute that no
type has.
"""

import json
import operator
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from . import searches
from .errors import MissingError, RefusedError, UnknownFieldError
from .store import Record, Store

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "attribute": operator.eq,
    "attribute_lt": operator.lt,
    "attribute_lte": operator.le,
    "attribute_gt": operator.gt,
    "attribute_gte": operator.ge,
    "attribute_contains": lambda value, part: part.lower() in value.lower(),
}
_READERS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": lambda text: text.lower() != "false"}
_ORDERED = ("float", "datetime", "int")
_TEXTS = ("string", "enum")


def localizations(store: Store, params: Mapping[str, Any]) -> list[Record]:
    """Return the marks that the parameters select, by id.

    Without `show_all_marks` only the last mark of each box is selected; without `show_deleted` no tombstone.
    """
    where, values = _where(params)
    rows = store.rows(f"SELECT * FROM localization WHERE {where} ORDER BY id", *values)
    types = {record["id"]: record for record in store.all("localization_type", params["project"])}
    return paged(by_attribute(without_parents([localization(row) for row in rows], params), types, params), params)


def without_parents(rows: list[Record], params: Mapping[str, Any]) -> list[Record]:
    """Remove the parents of other rows if two or more versions are named, as Tator does unless `merge=0`."""
    if not params.get("merge", 1) or len(params.get("version", [])) < 2:
        return rows
    parents = {row["parent"] for row in rows}
    return [row for row in rows if row["id"] not in parents]


def count_localizations(store: Store, params: Mapping[str, Any]) -> int:
    """Return the number of marks that the parameters select; a count is cheaper than a list, as on a real server."""
    if params.keys() & {*_COMPARISONS, "attribute_null", "start", "stop"} or len(params.get("version", [])) > 1:
        return len(localizations(store, params))
    where, values = _where(params)
    return int(store.rows(f"SELECT COUNT(*) AS marks FROM localization WHERE {where}", *values)[0]["marks"])


def _where(params: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return the SQL condition of the parameters other than attributes, and its values."""
    where, values = ["project = ?"], [params["project"]]

    def among(column: str, wanted: list[Any]) -> None:
        where.append(f"{column} IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(wanted))

    if media := [*params.get("media_ids", []), *params.get("media_id", [])]:
        among("media", media)
    if ids := params.get("ids"):
        among("id", ids)
    if states := params.get("state_ids"):
        where.append(
            "id IN (SELECT localization FROM state_localization WHERE state IN (SELECT value FROM json_each(?)))"
        )
        values.append(json.dumps(states))
    if elemental_ids := params.get("elemental_ids"):
        among("elemental_id", [uuid_of(text) for text in elemental_ids])
    if "version" in params:
        among("version", params["version"])
    for name, column, sign in (("type", "type", "="), ("frame", "frame", "="), ("after", "id", ">")):
        if name in params:
            where.append(f"{column} {sign} ?")
            values.append(params[name])
    if "elemental_id" in params:
        where.append("elemental_id = ?")
        values.append(uuid_of(params["elemental_id"]))
    if not params.get("show_deleted"):
        where.append("NOT variant_deleted")
    if not params.get("show_all_marks"):
        where.append(
            "mark = (SELECT MAX(mark) FROM localization AS other"
            " WHERE other.elemental_id = localization.elemental_id AND other.version = localization.version)"
        )
    return " AND ".join(where), values


def localization(row: sqlite3.Row) -> Record:
    """Return a row as Tator shows it."""
    shape = json.loads(row["shape"])
    return {
        "id": row["id"],
        "project": row["project"],
        "type": row["type"],
        "media": row["media"],
        "thumbnail_image": None,
        "version": row["version"],
        "attributes": json.loads(row["attributes"]),
        "created_by": row["created_by"],
        "created_datetime": row["created_datetime"],
        "modified_datetime": row["modified_datetime"],
        "modified_by": row["modified_by"],
        "user": row["created_by"],
        "variant_deleted": bool(row["variant_deleted"]),
        **{name: shape.get(name) for name in ("x", "y", "width", "height", "u", "v", "points")},
        "frame": row["frame"],
        "parent": row["parent"],
        "elemental_id": row["elemental_id"],
        "mark": row["mark"],
        "effective_permission": 0,
    }


def medias(store: Store, params: Mapping[str, Any]) -> list[Record]:
    """Return the media that the parameters select, by name and then id before `sort_by` applies."""
    types = {record["id"]: record for record in store.all("media_type", params["project"])}
    ids = {*params.get("ids", []), *params.get("media_id", [])}
    states = {"live": ("live",), "archived": ("to_archive", "archived", "to_live")}.get(
        params.get("archive_lifecycle", "")
    )

    def wanted(media: Record) -> bool:
        return (
            not media["deleted"]
            and (not ids or media["id"] in ids)
            and ("name" not in params or media["name"].lower() == params["name"].lower())
            and ("dtype" not in params or types[media["type"]]["dtype"] == params["dtype"])
            and all(media[name] == params[name] for name in ("type", "md5", "gid", "uid") if name in params)
            and ("elemental_id" not in params or media["elemental_id"] == uuid_of(params["elemental_id"]))
            and ("after" not in params or media["id"] > params["after"])
            and ("after_name" not in params or media["name"] > params["after_name"])
            and (states is None or media["archive_state"] in states)
        )

    every = store.all("media", params["project"])
    found = [media for media in every if wanted(media)]
    if "section" in params:  # without the media of folders inside the section
        added = {section["id"] for section in store.all("section", params["project"])}
        if params["section"] not in {media["primary_section"] for media in every} | added:
            raise MissingError("Section")
        found = [media for media in found if media["primary_section"] == params["section"]]
    if "encoded_search" in params:
        search = searches.decoded(params["encoded_search"])
        names = frozenset(kind["name"] for record in types.values() for kind in record["attribute_types"])
        found = [media for media in found if searches.finds(search, media, names)]
    found.sort(key=lambda media: (media["name"], media["id"]))
    return paged(by_attribute(found, types, params), params)


def expect_count(params: Mapping[str, Any], found: list[Record], change: str) -> None:
    """Refuse a bulk change of another number of objects than the caller expects."""
    expected = params.get("count")
    if expected is not None and expected != len(found):
        raise RefusedError(f"Safety check failed - expected {expected} but would {change} {len(found)}")


def expect_one_type(found: list[Record]) -> None:
    """Refuse a bulk patch across types."""
    if len({record["type"] for record in found}) > 1:
        raise RefusedError("When doing a bulk patch the type id of all objects must be the same.")


def chosen_fields(records: list[Record], fields: str | None) -> list[Record]:
    """Return only the fields named by `fields=a,b`, or all."""
    if fields is None:
        return records
    names = fields.split(",")
    for name in names:
        if records and name not in records[0]:
            raise UnknownFieldError(name)
    return [{name: record[name] for name in names} for record in records]


def by_attribute(records: list[Record], types: Mapping[int, Record], params: Mapping[str, Any]) -> list[Record]:
    """Filter by `attribute=Name::value` and similar parameters.

    A name that none of the types has filters nothing; one that only some have excludes objects of the others.
    """
    if "type" in params:
        types = {number: record for number, record in types.items() if number == params["type"]}
    tests: dict[int, list[Callable[[Record], bool]]] = {number: [] for number in types}
    for number, record in types.items():
        for name in (*_COMPARISONS, "attribute_null"):
            for pair in params.get(name, []):
                tests[number] += _tests(record, name, pair)
    if not any(tests.values()):
        return records
    return [
        record
        for record in records
        if tests.get(record["type"]) and all(test(record["attributes"]) for test in tests[record["type"]])
    ]


def _tests(entity_type: Record, comparison: str, pair: str) -> list[Callable[[Record], bool]]:
    name, separator, text = pair.partition("::")
    if not separator:
        raise RefusedError("not enough values to unpack (expected 2, got 1)")
    dtype = next((kind["dtype"] for kind in entity_type["attribute_types"] if kind["name"] == name), None)
    if dtype is None:
        return []
    if comparison == "attribute_null":
        wanted = text.lower() != "false"
        return [lambda attributes: (attributes.get(name) is None) == wanted]
    allowed = {"attribute": (*_ORDERED, *_TEXTS, "bool"), "attribute_contains": _TEXTS}.get(comparison, _ORDERED)
    if dtype not in allowed:
        raise RefusedError(f"Filter operation '{comparison}' not allowed for dtype '{dtype}'!")
    try:
        value = _READERS.get(dtype, str)(text)
    except ValueError as error:
        raise RefusedError(f"Field '{name}_typed' expected a number but got {text!r}.") from error
    same = (int, float) if dtype in ("int", "float") else type(value)
    compare = _COMPARISONS[comparison]
    return [lambda attributes: isinstance(attributes.get(name), same) and compare(attributes[name], value)]


def paged(records: list[Record], params: Mapping[str, Any]) -> list[Record]:
    """Return records in the order of `sort_by`, from `start` to `stop`."""
    for key in reversed(params.get("sort_by", [])):
        name = key.lstrip("-")

        def value(record: Record, name: str = name) -> tuple[bool, Any]:
            found = record[name[1:]] if name.startswith("$") else record["attributes"].get(name)
            return found is None, found

        records = sorted(records, key=value, reverse=key.startswith("-"))
    return records[params.get("start", 0) : params.get("stop")]


def uuid_of(text: str) -> str:
    """Return an elemental id as Tator writes it."""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise RefusedError(str(error)) from error
