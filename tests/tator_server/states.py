"""Operations on states; tracks are states whose type is associated with localizations.

Like a box, a state is the rows of one elemental_id in one version. A state refers to rows of boxes; edits, deletions
and new rows of a box do not change the state. Creating several states is not one transaction: the states are stored
first, then their media, then their boxes, then the runs of frames (`segments`).
"""

import uuid

from . import attributes, queries, state_rows
from .errors import CONNECTION_CLOSED, ForbiddenError, RefusedError
from .operations import EDIT, FULL, VIEW, Call, find, is_fine_grained, may, operation, with_permissions
from .store import LINKS, Record, Store, now

# The permission in the answer to a patch by a user with full control; for others it is 0.
_ALL = 255
_NO_STATE = "State matching query does not exist."
_FOREIGN_KEY = (
    'insert or update on table "main_state_{table}" violates foreign key constraint "{name}"\n'
    'DETAIL:  Key ({column})=({value}) is not present in table "main_{target}".\n'
)


@operation("GetState", VIEW, of="state")
def _get_state(call: Call) -> Record:
    return call.target


@operation("GetStateList", VIEW)
@operation("GetStateListById", VIEW)
def _get_states(call: Call) -> list[Record]:
    found = with_permissions(state_rows.listed(call.store, call.params), call, call.params["project"])
    return state_rows.chosen_fields(found, call.params.get("fields"))


@operation("GetStateCount", VIEW)
@operation("GetStateCountById", VIEW)
def _count(call: Call) -> int:
    return len(state_rows.listed(call.store, call.params))


def _by_elemental_id(call: Call) -> Record:
    wanted = {key: call.params[key] for key in ("elemental_id",)}
    version = find(call.store, "version", call.params["version"])
    every = {"project": version["project"], "version": [version["id"]], "show_all_marks": 1, "show_deleted": 1}
    found = state_rows.listed(call.store, {**every, **wanted})
    if "mark" in call.params:
        found = [row for row in found if row["mark"] == call.params["mark"]]
    if not found:
        raise RefusedError("", status=404)
    row = max(found, key=lambda row: (row["mark"], row["id"]))
    return find(call.store, "state", row["id"])


@operation("GetStateByElementalId", VIEW)
def _get_by_elemental_id(call: Call) -> Record:
    target = _by_elemental_id(call)
    _require(call, target, VIEW)
    return target


def _require(call: Call, target: Record, needs: str) -> None:
    if not may(call.user, find(call.store, "project", state_rows.project(call.store, target["id"])), needs):
        raise ForbiddenError


@operation("CreateStateList", EDIT)
def _create(call: Call) -> Record:
    if not call.body:
        raise RefusedError("State creation requires list of states!")
    specs = call.body if isinstance(call.body, list) else [call.body]
    store, project = call.store, call.params["project"]
    types = _of_project(store, "state_type", {spec["type"] for spec in specs}, project, "Localization types")
    medias = _of_project(store, "media", {one for spec in specs for one in spec["media_ids"]}, project, "Media")
    boxes = {one for spec in specs for one in spec.get("localization_ids", [])}
    known = state_rows.known_boxes(store, boxes)
    if boxes and set(known.values()) != {project}:
        raise RefusedError(
            f"Localizations must be part of project {project}, got projects {sorted(set(known.values()))}!"
        )
    default = min(store.all("version", project), key=lambda record: record["number"])["id"]
    versions = {record["id"] for record in store.all("version", project)}
    rows = []
    for spec in specs:
        version = spec.get("version", default)
        if version not in versions:
            raise RefusedError(str(version))
        kind = types.get(spec["type"])
        if kind is None:
            raise RefusedError(str(spec["type"]))
        if kind["association"] == "Frame" and "frame" not in spec:
            raise RefusedError('Missing required field in request body "frame".')
        rows.append(
            {
                "project": project,
                "type": kind["id"],
                "version": version,
                "elemental_id": _elemental_id(spec.get("elemental_id")),
                "variant_deleted": False,
                "frame": _frame(spec.get("frame")),
                "attributes": attributes.complete(kind["attribute_types"], spec.get("attributes", {})),
                "parent": _parent(store, spec.get("parent")),
                "created_by": call.user["id"],
                "modified_by": call.user["id"],
            }
        )
    ids = [state_rows.add_mark(store, row) for row in rows]
    _link(store, ids, specs, medias, known)
    return {"message": f"Successfully created {len(ids)} states!", "id": ids}


def _link(store: Store, ids: list[int], specs: list[Record], medias: dict[int, Record], known: dict[int, int]) -> None:
    """Add media, then boxes, then segments; a failure keeps the changes made before it."""
    unknown = next((one for spec in specs for one in spec["media_ids"] if one not in medias), None)
    if unknown is not None:
        _no_such(unknown, "media", "main_state_media_media_id_c0ddf17b_fk_main_media_id", "media_id", "media")
    for number, spec in zip(ids, specs, strict=True):
        state_rows.add_media(store, number, spec["media_ids"])
    unknown = next((one for spec in specs for one in spec.get("localization_ids", []) if one not in known), None)
    if unknown is not None:
        name = "main_state_localizat_localization_id_3fb6cdcc_fk_main_loca"
        _no_such(unknown, "localizations", name, "localization_id", "localization")
    left = LINKS.get()
    if left is not None:
        for number, spec in zip(ids, specs, strict=True):
            boxes = spec.get("localization_ids", [])[:left]
            state_rows.add_boxes(store, number, boxes)
            left -= len(boxes)
        raise RefusedError(CONNECTION_CLOSED, details=CONNECTION_CLOSED, kept=True)
    for number, spec in zip(ids, specs, strict=True):
        state_rows.add_boxes(store, number, spec.get("localization_ids", []))
        if boxes := spec.get("localization_ids"):
            state_rows.renew_segments(store, number, boxes)  # a box that is named twice counts twice


def _no_such(value: int, table: str, name: str, column: str, target: str) -> None:
    message = _FOREIGN_KEY.format(table=table, name=name, column=column, value=value, target=target)
    raise RefusedError(message, details=message, kept=True)


def _of_project(store: Store, kind: str, ids: set[int], project: int, noun: str) -> dict[int, Record]:
    known = {number: record for number in sorted(ids) if (record := store.find(kind, number)) is not None}
    projects = sorted({record["project"] for record in known.values()})
    if projects != [project]:
        got = f"projects {projects}" if len(projects) != 1 else f"project {projects[0]}"
        raise RefusedError(f"{noun} must be part of project {project}, got {got}!")
    return known


def _elemental_id(text: str | None) -> str:
    try:
        return str(uuid.UUID(text)) if text else str(uuid.uuid4())
    except ValueError as error:
        raise RefusedError(f"Could not convert '{text}' into a UUID", details=str(error)) from error


def _frame(frame: int | None) -> int | None:
    if frame is not None and frame < 0:
        message = (
            'new row for relation "main_state" violates check constraint "main_state_frame_check"\n'
            "DETAIL:  Failing row contains (...).\n"
        )
        raise RefusedError(message, details=message)
    return frame


def _parent(store: Store, parent: int | None) -> int | None:
    if parent is not None and not store.rows("SELECT id FROM state WHERE id = ?", parent):
        raise RefusedError(_NO_STATE, status=404)
    return parent


@operation("UpdateState", EDIT, of="state")
def _update(call: Call) -> Record:
    return _patch(call, call.target)


@operation("UpdateStateByElementalId", VIEW)
def _update_by_elemental_id(call: Call) -> Record:
    target = _by_elemental_id(call)
    _require(call, target, EDIT)
    return _patch(call, target)


def _patch(call: Call, target: Record) -> Record:
    """Patch the newest mark, whichever was named; without `in_place` as a new one.

    Boxes are added to and removed from the row that was the newest, which is then copied: its segments have a history,
    its boxes have none. The copy also has the media of its boxes.
    """
    store, wanted = call.store, call.body
    last = state_rows.newest(store, target)
    if wanted.get("pedantic") and target["mark"] != last["mark"]:
        raise RefusedError(
            f"Pedantic mode is enabled. Can not edit prior object {target['id']}, must only edit latest mark on "
            f"version.Object is mark {target['mark']} of {last['mark']} for "
            f"{target['version']}/{target['elemental_id']}"
        )
    entity_type = find(store, "state_type", last["type"])
    new = attributes.changes(entity_type, wanted)
    frame = wanted["frame"] if wanted.get("frame") is not None else last["frame"]
    changed = {**last, "attributes": last["attributes"] | new, "frame": frame, "modified_by": call.user["id"]}
    if wanted.get("elemental_id"):
        changed["elemental_id"] = _elemental_id(wanted["elemental_id"])
    number, links_changed = last["id"], _change_links(store, last["id"], wanted)
    if wanted.get("in_place"):
        state_rows.change(store, changed | {"modified_datetime": now()})
    else:
        number = state_rows.add_mark(
            store, changed | {"project": state_rows.project(store, last["id"])}, created=last["created_datetime"]
        )
        state_rows.copy_links(store, last["id"], number)
        state_rows.add_media(store, number, state_rows.media_of(store, state_rows.boxes_of(store, number)))
        state_rows.copy_segments(store, last["id"], number)
    if links_changed:
        state_rows.renew_segments(store, number)
    name = f"{last['elemental_id']}@{last['version']}/{last['mark']}"
    shown = {k: v for k, v in find(store, "state", number).items() if k not in ("localizations", "media")}
    is_owner = may(call.user, find(store, "project", state_rows.project(store, number)), FULL)
    rights = {"effective_permission": _ALL if is_owner else 0}
    return {"message": f"State {name} successfully updated!", "object": shown | rights}


def _change_links(store: Store, number: int, wanted: Record) -> bool:
    """Add and remove boxes, and add their media; unknown boxes are ignored. Return whether boxes were named."""
    add, gone = wanted.get("localization_ids_add", []), wanted.get("localization_ids_remove", [])
    if "localization_ids" in wanted:
        state_rows.remove_boxes(store, number, None)
        add = wanted["localization_ids"]
    if "media_ids" in wanted:
        state_rows.replace_media(store, number, wanted["media_ids"])
    known = state_rows.known_boxes(store, set(add))
    state_rows.add_boxes(store, number, [one for one in add if one in known])
    state_rows.remove_boxes(store, number, gone)
    state_rows.add_media(store, number, state_rows.media_of(store, known))
    return bool(add or gone or "localization_ids" in wanted)


@operation("UpdateStateList", EDIT)
def _update_many(call: Call) -> Record:
    store, wanted = call.store, dict(call.params)
    if wanted.get("ids"):
        wanted |= {"show_all_marks": 1, "in_place": 1}
    found = state_rows.listed(store, wanted)
    queries.expect_count(wanted, found, "update")
    queries.expect_one_type(found)
    new = attributes.changes(find(store, "state_type", found[0]["type"]), wanted) if found else {}
    for shown in found:
        row = find(store, "state", shown["id"])
        changed = row | {"attributes": row["attributes"] | new, "modified_by": call.user["id"]}
        if wanted.get("in_place"):
            state_rows.change(store, changed)
            continue
        changed["project"] = state_rows.project(store, row["id"])
        number = state_rows.add_mark(store, changed, created=row["created_datetime"])
        state_rows.copy_links(store, row["id"], number)
        state_rows.copy_segments(store, row["id"], number)
    return {"message": f"Successfully updated {len(found)} states!"}


@operation("DeleteState", EDIT, of="state")
def _delete(call: Call) -> Record:
    return _delete_one(call, call.target)


@operation("DeleteStateByElementalId", VIEW)
def _delete_by_elemental_id(call: Call) -> Record:
    target = _by_elemental_id(call)
    _require(call, target, EDIT)
    return _delete_one(call, target)


def _delete_one(call: Call, target: Record) -> Record:
    store, number, prune = call.store, target["id"], call.params.get("prune")
    if find(store, "state_type", target["type"])["delete_child_localizations"]:
        state_rows.delete_own_boxes(store, number, prune=bool(prune))
    if prune:
        state_rows.prune(store, number)
    else:
        row = target | {"variant_deleted": True, "modified_by": call.user["id"]}
        number = state_rows.add_mark(store, row | {"project": state_rows.project(store, target["id"])})
        state_rows.copy_links(store, target["id"], number)
        state_rows.copy_segments(store, target["id"], number)
    name = f"{target['version']}/{target['elemental_id']}@@{target['mark']}"
    return {"message": f"State {name} successfully deleted!", "id": number}


@operation("DeleteStateList", VIEW)
def _delete_many(call: Call) -> Record:
    """Delete the selected states: with tombstones without media and boxes or, if pruned, only the selected rows."""
    store = call.store
    found = state_rows.listed(store, call.params)
    needed = found or not is_fine_grained(store)
    if needed and not may(call.user, find(store, "project", call.params["project"]), EDIT):
        raise ForbiddenError
    queries.expect_count(call.params, found, "delete")
    if call.params.get("in_place"):
        raise RefusedError("State has no field named 'modifed_by'")
    for row in found:
        if call.params.get("prune"):
            state_rows.prune(store, row["id"])
        else:
            tombstone = row | {"variant_deleted": True, "modified_by": call.user["id"]}
            number = state_rows.add_mark(store, tombstone | {"project": call.params["project"]})
            state_rows.copy_segments(store, row["id"], number)
    return {"message": f"Successfully deleted {len(found)} states!"}


@operation("MergeStates", EDIT, of="state")
def _merge(call: Call) -> Record:
    store, number, other = call.store, call.target["id"], call.body["merge_state_id"]
    if not store.rows("SELECT id FROM state WHERE id = ?", other):
        raise RefusedError(_NO_STATE, status=404)
    state_rows.add_boxes(store, number, state_rows.boxes_of(store, other))
    state_rows.renew_segments(store, number)
    state_rows.merge_away(store, other)
    return {
        "message": f"Localizations from state {other} has been merged into {number}. State {other} has been deleted."
    }


@operation("TrimStateEnd", EDIT, of="state")
def _trim(call: Call) -> Record:
    store, number = call.store, call.target["id"]
    frame, at_start = call.body["frame"], call.body["endpoint"] == "start"
    gone = [
        box for box in state_rows.boxes_of(store, number)
        if (state_rows.frame_of(store, box) < frame if at_start else state_rows.frame_of(store, box) > frame)
    ]  # fmt: skip
    alone = next((box for box in gone if not state_rows.in_other_rows(store, box, number)), None)
    if alone is not None:
        message = (
            'update or delete on table "main_localization" violates foreign key constraint '
            '"main_projectlookup_localization_id_9e7e61c3_fk_main_loca" on table "main_projectlookup"\n'
            f'DETAIL:  Key (id)=({alone}) is still referenced from table "main_projectlookup".\n'
        )
        raise RefusedError(message, details=message)
    state_rows.remove_boxes(store, number, gone)
    state_rows.renew_segments(store, number)
    return {"message": f"State {number} has been updated. Deleted 0 localizations."}
