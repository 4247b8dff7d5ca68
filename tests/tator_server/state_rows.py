"""Rows of states with their media and boxes, and their selection for lists."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from . import queries
from .errors import UnknownFieldError
from .store import Record, Store, now

Segments = list[list[int | None]]


def add_mark(store: Store, row: Record, *, created: str | None = None) -> int:
    """Add a row with the mark after the last, without media, boxes and segments; return its id."""
    time = now()
    query = (
        "SELECT COALESCE(MAX(mark) + 1, 0) AS next FROM state WHERE elemental_id = ? AND version = ? AND NOT deleted"
    )
    mark = store.rows(query, row["elemental_id"], row["version"])[0]["next"]
    last = store.rows("SELECT seq FROM sqlite_sequence WHERE name = 'state'")
    return store.execute(
        "INSERT INTO state (id, project, type, version, elemental_id, mark, variant_deleted, frame, attributes, parent,"
        " created_by, created_datetime, modified_by, modified_datetime)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        last[0]["seq"] + 1 if last else 1,
        *(row[name] for name in ("project", "type", "version", "elemental_id")),
        mark,
        *(row[name] for name in ("variant_deleted", "frame")),
        json.dumps(row["attributes"]),
        row["parent"],
        row["created_by"],
        created or time,
        row["modified_by"],
        time,
    )


def change(store: Store, row: Record) -> None:
    """Change a row in place."""
    store.execute(
        "UPDATE state SET elemental_id = ?, frame = ?, attributes = ?, modified_by = ?, modified_datetime = ?"
        " WHERE id = ?",
        *(row["elemental_id"], row["frame"], json.dumps(row["attributes"])),
        *(row["modified_by"], row["modified_datetime"], row["id"]),
    )


def prune(store: Store, number: int) -> None:
    """Hide a row permanently; another row may become visible."""
    store.execute("UPDATE state SET deleted = 1 WHERE id = ?", number)


def remove(store: Store, number: int) -> None:
    """Remove a row and its links."""
    for table, column in (("state_media", "state"), ("state_localization", "state"), ("state", "id")):
        store.execute(f"DELETE FROM {table} WHERE {column} = ?", number)


def merge_away(store: Store, number: int) -> None:
    """Remove a row; marks before it stay, but no list shows them as the last."""
    same = "(SELECT elemental_id, version FROM state WHERE id = ?)"
    store.execute(f"UPDATE state SET hidden = 1 WHERE (elemental_id, version) = {same}", number)
    remove(store, number)


def project(store: Store, number: int) -> int:
    """Return the project of a row."""
    return int(store.rows("SELECT project FROM state WHERE id = ?", number)[0]["project"])


def boxes_of(store: Store, number: int) -> list[int]:
    """Return the ids of the boxes of a state."""
    query = "SELECT localization FROM state_localization WHERE state = ? ORDER BY localization"
    return [row["localization"] for row in store.rows(query, number)]


def add_boxes(store: Store, number: int, boxes: Iterable[int]) -> None:
    """Add boxes to a state; boxes that it has already are ignored."""
    for box in boxes:
        store.execute("INSERT OR IGNORE INTO state_localization VALUES (?, ?)", number, box)


def remove_boxes(store: Store, number: int, boxes: Iterable[int] | None) -> None:
    """Remove boxes from a state; None removes all."""
    for box in boxes_of(store, number) if boxes is None else boxes:
        store.execute("DELETE FROM state_localization WHERE state = ? AND localization = ?", number, box)


def add_media(store: Store, number: int, media: Iterable[int]) -> None:
    """Add media to a state."""
    for one in media:
        store.execute("INSERT OR IGNORE INTO state_media VALUES (?, ?)", number, one)


def replace_media(store: Store, number: int, media: Iterable[int]) -> None:
    """Replace a state's media by these."""
    store.execute("DELETE FROM state_media WHERE state = ?", number)
    add_media(store, number, media)


def copy_links(store: Store, source: int, target: int) -> None:
    """Give a state the media and boxes of another."""
    for table, column in (("state_media", "media"), ("state_localization", "localization")):
        store.execute(f"INSERT INTO {table} SELECT ?, {column} FROM {table} WHERE state = ?", target, source)


def copy_segments(store: Store, source: int, target: int) -> None:
    """Give a state the segments of another."""
    store.execute("UPDATE state SET segments = (SELECT segments FROM state WHERE id = ?) WHERE id = ?", source, target)


def known_boxes(store: Store, boxes: Iterable[int]) -> dict[int, int]:
    """Return the projects of those boxes that exist or were pruned, by id."""
    query = "SELECT id, project FROM {} WHERE id IN (SELECT value FROM json_each(?))"
    wanted = json.dumps(sorted(boxes))
    rows = [row for table in ("localization", "pruned_localization") for row in store.rows(query.format(table), wanted)]
    return {row["id"]: row["project"] for row in rows}


def media_of(store: Store, boxes: Iterable[int]) -> list[int]:
    """Return the media of boxes."""
    query = "SELECT DISTINCT media FROM localization WHERE id IN (SELECT value FROM json_each(?))"
    return [row["media"] for row in store.rows(query, json.dumps(sorted(boxes)))]


def frame_of(store: Store, box: int) -> int:
    """Return the frame of a box, also of one that was pruned."""
    for table in ("localization", "pruned_localization"):
        if rows := store.rows(f"SELECT frame FROM {table} WHERE id = ?", box):
            return int(rows[0]["frame"])
    raise LookupError(box)


def in_other_rows(store: Store, box: int, number: int) -> bool:
    """Return whether another row of any state has the box."""
    query = "SELECT 1 FROM state_localization WHERE localization = ? AND state != ?"
    return bool(store.rows(query, box, number))


def delete_own_boxes(store: Store, number: int, *, prune: bool) -> None:
    """Delete the boxes that are in no other state, in place."""
    for box in boxes_of(store, number):
        if not in_other_rows(store, box, number):
            change = "DELETE FROM localization" if prune else "UPDATE localization SET variant_deleted = 1"
            store.execute(f"{change} WHERE id = ?", box)


def renew_segments(store: Store, number: int, boxes: Iterable[int] | None = None) -> None:
    """Compute the runs of consecutive frames; a second box on a frame begins a new run, and no boxes give a null run.

    Args:
        store: the server's state.
        number: id of the row.
        boxes: boxes whose frames are used; None for those of the row.
    """
    frames = sorted(frame_of(store, box) for box in (boxes_of(store, number) if boxes is None else boxes))
    found: Segments = []
    for frame in frames:
        if found and found[-1][1] == frame - 1:
            found[-1][1] = frame
        else:
            found.append([frame, frame])
    store.execute("UPDATE state SET segments = ? WHERE id = ?", json.dumps(found or [[None, None]]), number)


def shown(store: Store, row: sqlite3.Row) -> Record:
    """Return a row as Tator shows it."""
    media = store.rows("SELECT media FROM state_media WHERE state = ? ORDER BY media", row["id"])
    return {
        "id": row["id"],
        "type": row["type"],
        "segments": json.loads(row["segments"]) if row["segments"] else None,
        "attributes": json.loads(row["attributes"]),
        "created_datetime": row["created_datetime"],
        "modified_datetime": row["modified_datetime"],
        "modified_by": row["modified_by"],
        "created_by": row["created_by"],
        "variant_deleted": bool(row["variant_deleted"]),
        "version": row["version"],
        "frame": row["frame"],
        "parent": row["parent"],
        "elemental_id": row["elemental_id"],
        "mark": row["mark"],
        "effective_permission": 0,
        "localizations": boxes_of(store, row["id"]),
        "media": [one["media"] for one in media],
    }


def newest(store: Store, target: Record) -> Record:
    """Return the newest mark of a state, tombstones included."""
    query = "SELECT * FROM state WHERE elemental_id = ? AND version = ? AND NOT deleted ORDER BY mark DESC, id DESC"
    return shown(store, store.rows(query, target["elemental_id"], target["version"])[0])


def listed(store: Store, params: Mapping[str, Any]) -> list[Record]:
    """Return the marks that the parameters select, by id.

    As on the real server, a filter by media or boxes shortens these lists in the answer, an empty list filters
    nothing, and in lists of two or more versions the parents of other rows are left out.
    """
    media, boxes = _linked(params)
    where, values = _where(params, media, boxes)
    found = [shown(store, row) for row in store.rows(f"SELECT * FROM state WHERE {where} ORDER BY id", *values)]
    found = queries.without_parents(found, params)
    for row in found:
        row["media"] = [one for one in row["media"] if not media or one in media]
        row["localizations"] = [one for one in row["localizations"] if not boxes or one in boxes]
    types = {record["id"]: record for record in store.all("state_type", params["project"])}
    return queries.paged(queries.by_attribute(found, types, params), params)


def _linked(params: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Return the media and the boxes by which to filter."""
    media = [*params.get("media_ids", []), *params.get("media_id", [])]
    return media, [*params.get("localization_ids", []), *params.get("related_id", [])]


def _where(params: Mapping[str, Any], media: list[int], boxes: list[int]) -> tuple[str, list[Any]]:
    """Return the SQL condition of the parameters other than attributes, and its values."""
    among = "{} IN (SELECT value FROM json_each(?))"
    elemental_ids = [*params.get("elemental_ids", []), *([params["elemental_id"]] if "elemental_id" in params else [])]
    lists = {
        among.format("id"): params.get("ids"),
        f"id IN (SELECT state FROM state_media WHERE {among.format('media')})": media,
        f"id IN (SELECT state FROM state_localization WHERE {among.format('localization')})": boxes,
        among.format("elemental_id"): [queries.uuid_of(text) for text in elemental_ids],
        among.format("version"): params.get("version"),
    }
    where, values = ["project = ?", "NOT deleted"], [params["project"]]
    for condition, wanted in lists.items():
        if wanted:
            where.append(condition)
            values.append(json.dumps(wanted))
    for name, condition in (("type", "type = ?"), ("after", "id > ?")):
        if name in params:
            where.append(condition)
            values.append(params[name])
    if not params.get("show_deleted"):
        where.append("NOT variant_deleted")
    if not params.get("show_all_marks"):
        where.append("NOT hidden")
        where.append(
            "mark = (SELECT MAX(mark) FROM state AS other WHERE other.elemental_id = state.elemental_id"
            " AND other.version = state.version AND NOT other.deleted)"
        )
    return " AND ".join(where), values


def chosen_fields(records: list[Record], fields: str | None) -> list[Record]:
    """Return the named fields, and always media and boxes, which must not be named."""
    if fields is None:
        return records
    names = fields.split(",")
    for name in names:
        if records and ((name not in records[0] and "." not in name) or name in ("localizations", "media")):
            raise UnknownFieldError(name)
    return [_part(record, names) | {name: record[name] for name in ("localizations", "media")} for record in records]


def _part(record: Record, names: list[str]) -> Record:
    """Return the named fields; `attributes.Species` is one attribute."""
    found = {name: record[name] for name in names if "." not in name}
    for field, _, key in (name.partition(".") for name in names if "." in name):
        found[field] = {**found.get(field, {}), key: record[field].get(key)}
    return found
