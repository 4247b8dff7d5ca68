"""Operations on localizations.

A box is the rows of one elemental_id in one version; each row is a mark. Creating or changing a box adds a mark,
deleting it adds a tombstone, and only pruning removes rows. The last mark is what lists show.
"""

import json
import math
import uuid
from collections.abc import Iterable
from typing import Any

from . import attributes, queries
from .errors import ForbiddenError, RefusedError
from .operations import EDIT, VIEW, Call, find, is_fine_grained, may, operation, with_permissions
from .store import Record, Store, now

_SHAPE = ("x", "y", "width", "height", "u", "v", "points")
# Fields that a patch of one localization changes; others are dropped, and so is a width or height of zero.
_PATCHED = {"box": ("x", "y", "width", "height"), "line": ("x", "y", "u", "v"), "dot": ("x", "y"), "poly": ("points",)}


def _add_mark(store: Store, box: Record, *, created: str | None = None) -> int:
    """Add a row for a box with the mark after its last, and return the row's id."""
    time = now()
    # Id and mark are chosen from the rows visible now, also if the transaction commits later.
    query = "SELECT COALESCE(MAX(mark) + 1, 0) AS next FROM localization WHERE elemental_id = ? AND version = ?"
    mark = store.rows(query, box["elemental_id"], box["version"])[0]["next"]
    last = store.rows("SELECT seq FROM sqlite_sequence WHERE name = 'localization'")
    return store.execute(
        "INSERT INTO localization (id, project, type, media, version, elemental_id, variant_deleted, frame, shape,"
        " attributes, parent, created_by, created_datetime, modified_by, modified_datetime, mark)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        last[0]["seq"] + 1 if last else 1,
        *(box[name] for name in ("project", "type", "media", "version", "elemental_id", "variant_deleted", "frame")),
        json.dumps({name: box[name] for name in _SHAPE}),
        json.dumps(box["attributes"]),
        box["parent"],
        box["created_by"],
        created or time,
        box["modified_by"],
        time,
        mark,
    )


def _change_row(store: Store, box: Record) -> None:
    """Change a row in place, without a new mark."""
    store.execute(
        "UPDATE localization SET version = ?, elemental_id = ?, frame = ?, shape = ?, attributes = ?, modified_by = ?,"
        " modified_datetime = ? WHERE id = ?",
        *(box[name] for name in ("version", "elemental_id", "frame")),
        json.dumps({name: box[name] for name in _SHAPE}),
        json.dumps(box["attributes"]),
        box["modified_by"],
        box["modified_datetime"],
        box["id"],
    )


@operation("GetLocalization", VIEW, of="localization")
def _get_localization(call: Call) -> Record:
    return call.target


@operation("GetLocalizationList", VIEW)
@operation("GetLocalizationListById", VIEW)
def _get_localizations(call: Call) -> list[Record]:
    found = with_permissions(queries.localizations(call.store, call.params), call, call.params["project"])
    return queries.chosen_fields(found, call.params.get("fields"))


@operation("GetLocalizationCount", VIEW)
@operation("GetLocalizationCountById", VIEW)
def _count_localizations(call: Call) -> int:
    return queries.count_localizations(call.store, call.params)


@operation("CreateLocalizationList", EDIT)
def _create_localizations(call: Call) -> Record:
    """Create boxes, all or none of them; but see `_refuse_nan`."""
    if not call.body:
        raise RefusedError("Localization creation requires list of localizations!", details="'body'")
    store, project = call.store, call.params["project"]
    specs = call.body if isinstance(call.body, list) else [call.body]
    default = min(store.all("version", project), key=lambda record: record["number"])["id"]
    types = _of_project(store, "localization_type", {spec["type"] for spec in specs}, project, "Localization types")
    medias = _of_project(store, "media", {spec["media_id"] for spec in specs}, project, "Media")
    chosen = {spec.get("version", default) for spec in specs} | {default}
    versions = _of_project(store, "version", chosen, project, "Versions")
    ids = []
    for spec in specs:
        box = {
            "project": project,
            "type": _known(types, spec["type"])["id"],
            "media": _known(medias, spec["media_id"])["id"],
            "version": _known(versions, spec.get("version", default))["id"],
            "elemental_id": _elemental_id(spec.get("elemental_id")),
            "variant_deleted": False,
            "frame": _frame(spec["frame"]),
            **{name: spec.get(name) for name in _SHAPE},
            "attributes": attributes.complete(types[spec["type"]]["attribute_types"], spec.get("attributes", {})),
            "parent": spec.get("parent"),
            "created_by": call.user["id"],
            "modified_by": call.user["id"],
        }
        ids.append(_add_mark(store, box))
    _refuse_nan(specs)
    return {"message": f"Successfully created {len(ids)} localizations!", "id": ids}


def _of_project(store: Store, kind: str, ids: set[int], project: int, noun: str) -> dict[int, Record]:
    """Return the records that exist, by id; all of them must be of the project."""
    known = {number: record for number in sorted(ids) if (record := store.find(kind, number)) is not None}
    projects = sorted({record["project"] for record in known.values()})
    if len(projects) != 1:
        raise RefusedError(f"{noun} must be part of project {project}, got projects {projects}!")
    if projects[0] != project:
        raise RefusedError(f"{noun} must be part of project {project}, got project {projects[0]}!")
    return known


def _known(records: dict[int, Record], number: int) -> Record:
    """Return a record; the message for an unknown one is the text of the real server's KeyError."""
    if number not in records:
        raise RefusedError(str(number))
    return records[number]


def _elemental_id(text: str | None) -> str:
    try:
        return str(uuid.UUID(text)) if text else str(uuid.uuid4())
    except ValueError as error:
        raise RefusedError(f"['“{text}” is not a valid UUID.']") from error


def _frame(frame: int) -> int:
    if frame < 0:
        message = (
            'new row for relation "main_localization" violates check constraint "main_localization_frame_check"\n'
            "DETAIL:  Failing row contains (...).\n"
        )
        raise RefusedError(message, details=message)
    return frame


def _refuse_nan(specs: list[Record]) -> None:
    """Refuse NaN: in an attribute before the boxes are stored, in other fields afterwards.

    Other fields fail only when Tator writes its change log: the boxes remain, and break each list that contains them.
    """

    def is_nan(values: Iterable[Any]) -> bool:
        return any(isinstance(value, float) and math.isnan(value) for value in values)

    in_attribute = any(is_nan(spec.get("attributes", {}).values()) for spec in specs)
    if in_attribute or any(is_nan(spec.values()) for spec in specs):
        message = 'invalid input syntax for type json\nDETAIL:  Token "NaN" is invalid.\n'
        raise RefusedError(message, details=message, kept=not in_attribute)


@operation("UpdateLocalization", EDIT, of="localization")
def _update_localization(call: Call) -> Record:
    store, wanted, box = call.store, call.params, call.target
    last = queries.localizations(
        store,
        {
            "project": box["project"],
            "elemental_id": box["elemental_id"],
            "version": [box["version"]],
            "show_deleted": 1,
        },
    )[0]
    _refuse_old_mark(wanted, box, last)
    entity_type = store.find("localization_type", box["type"]) or {}
    changed = {name: wanted[name] for name in _PATCHED[entity_type["dtype"]] if wanted.get(name) is not None}
    changed = {name: value for name, value in changed.items() if value or name in ("x", "y")}
    if wanted.get("frame") is not None:
        changed["frame"] = _frame(wanted["frame"])
    if wanted.get("elemental_id") is not None:
        changed["elemental_id"] = _elemental_id(wanted["elemental_id"])
    new = attributes.changes(entity_type, wanted)
    attributes.refuse_nul(new)
    after = last | changed | {"attributes": last["attributes"] | new, "modified_by": call.user["id"]}
    if wanted.get("in_place"):
        _change_row(store, after | {"modified_datetime": now()})
        number = last["id"]
    else:
        number = _add_mark(store, after, created=last["created_datetime"])
    row = store.rows("SELECT * FROM localization WHERE id = ?", number)[0]
    name = f"{after['elemental_id']}@{after['version']}/{last['mark']}"
    return {"message": f"Localization {name} successfully updated!", "object": queries.localization(row)}


def _refuse_old_mark(wanted: Record, box: Record, last: Record) -> None:
    if wanted.get("pedantic") and not wanted.get("in_place") and box["mark"] != last["mark"]:
        raise RefusedError(
            f"Pedantic mode is enabled. Can not edit prior object {box['id']}, must only edit latest mark on version."
            f"Object is mark {box['mark']} of {last['mark']} for {box['version']}/{box['elemental_id']}"
        )


@operation("DeleteLocalization", EDIT, of="localization")
def _delete_localization(call: Call) -> Record:
    box = call.target
    number = box["id"]
    if call.params.get("prune"):
        call.store.execute("DELETE FROM localization WHERE id = ?", number)
    else:
        number = _add_tombstone(call, box)
    name = f"{box['version']}/{box['elemental_id']}@@{box['mark']}"
    return {"message": f"Localization {name} successfully deleted!", "id": number}


def _add_tombstone(call: Call, box: Record) -> int:
    """Add a tombstone: a mark of a deleted box."""
    return _add_mark(call.store, box | {"variant_deleted": True, "modified_by": call.user["id"]})


@operation("DeleteLocalizationList", VIEW)
def _delete_localizations(call: Call) -> Record:
    """Delete the marks that are selected.

    Pruning removes only those: without `show_all_marks` and `show_deleted` the previous mark becomes visible again.
    """
    found = queries.localizations(call.store, call.params)
    # Fine-grained permissions are checked for each box, so that no boxes need no permission.
    needed = found or not is_fine_grained(call.store)
    if needed and not may(call.user, find(call.store, "project", call.params["project"]), EDIT):
        raise ForbiddenError
    queries.expect_count(call.params, found, "delete")
    for box in found:
        if call.params.get("prune"):
            call.store.execute("DELETE FROM localization WHERE id = ?", box["id"])
        else:
            _add_tombstone(call, box)
    return {"message": f"Successfully deleted {len(found)} localizations!"}


@operation("UpdateLocalizationList", EDIT)
def _update_localizations(call: Call) -> Record:
    """Patch attributes: by `ids` in place, which changes only `modified_by`; by other parameters as new marks."""
    store, wanted = call.store, dict(call.params)
    if wanted.get("ids"):
        wanted |= {"show_all_marks": 1, "in_place": 1}
    found = queries.localizations(store, wanted)
    queries.expect_count(wanted, found, "update")
    queries.expect_one_type(found)
    new: dict[str, Any] = {}
    if found:
        new = attributes.changes(store.find("localization_type", found[0]["type"]) or {}, wanted)
    (attributes.refuse_unquotable if wanted.get("in_place") else attributes.refuse_nul)(new)
    for box in found:
        after = box | {"attributes": box["attributes"] | new, "modified_by": call.user["id"]}
        if "new_version" in wanted:
            after["version"] = wanted["new_version"]
        if wanted.get("in_place"):
            _change_row(store, after)
        else:
            _add_mark(store, after, created=box["created_datetime"])
    return {"message": f"Successfully updated {len(found)} localizations!"}
