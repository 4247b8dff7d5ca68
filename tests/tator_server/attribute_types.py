"""Operations on the attributes of a type, and their effects on existing objects.

As recorded: a new attribute with a default is written into every row at once, in place, without changing its dates; a
changed default changes no row; a rename and a removal change all rows.
"""

import json
from collections.abc import Callable
from pprint import pformat

from . import attributes
from .errors import ForbiddenError, NotCoveredError, RefusedError
from .operations import FULL, VIEW, Call, find, may, operation
from .store import Record

_ENTITIES = {"MediaType": "media_type", "LocalizationType": "localization_type", "StateType": "state_type"}


def _owner(call: Call) -> tuple[str, Record]:
    """Return the kind of a type, and the type; the user needs Full Control of its project."""
    if call.body.get("entity_type") not in _ENTITIES:
        raise NotCoveredError(f"attributes of {call.body.get('entity_type')}")
    kind = _ENTITIES[call.body["entity_type"]]
    owner = find(call.store, kind, call.params["id"])
    if not may(call.user, find(call.store, "project", owner["project"]), FULL):
        raise ForbiddenError
    if not call.store.lock(kind, owner["id"]):  # does not wait for other transactions
        message = f'could not obtain lock on row in relation "main_{kind.replace("_", "")}"\n'
        raise RefusedError(message, details=message)
    return kind, owner


def _rewrite(call: Call, kind: str, owner: Record, change: Callable[[Record], Record]) -> None:
    """Change the attributes of every object of a type in place, also of old marks and tombstones."""
    store = call.store
    if kind == "media_type":
        for media in store.all("media", owner["project"]):
            if media["type"] == owner["id"]:
                store.change("media", media["id"], attributes=change(media["attributes"]))
        return
    table = "state" if kind == "state_type" else "localization"
    for row in store.rows(f"SELECT id, attributes FROM {table} WHERE type = ?", owner["id"]):
        new = json.dumps(change(json.loads(row["attributes"])))
        store.execute(f"UPDATE {table} SET attributes = ? WHERE id = ?", new, row["id"])


@operation("CreateAttributeType", VIEW)
def _add(call: Call) -> Record:
    kind, owner = _owner(call)
    if "addition" not in call.body or "name" not in call.body["addition"]:
        raise RefusedError("'name'" if "addition" in call.body else "'addition'")
    attribute = {"description": "", "required": False, "order": 0, **call.body["addition"]}
    attributes.check_type(attribute)
    existing = owner["attribute_types"] or []
    name = attribute["name"]
    if name in [one["name"] for one in existing]:
        raise RefusedError(f"{name} is already an attribute.")
    call.store.change(kind, owner["id"], attribute_types=[*existing, attribute])
    if "default" in attribute:
        _rewrite(call, kind, owner, lambda found: {**found, name: attribute["default"]})
    return {"message": f"New attribute type '{name}' added"}


@operation("UpdateAttributeType", VIEW)
def _update(call: Call) -> Record:
    kind, owner = _owner(call)
    old_name, wanted = call.body["current_name"], call.body["attribute_type_update"]
    before = next((dict(one) for one in owner["attribute_types"] if one["name"] == old_name), None)
    if before is None:
        raise RefusedError(f"Could not find attribute name {old_name} in entity type {owner['id']}")
    name, messages = wanted["name"], []
    mutated = any(wanted[key] != before.get(key) for key in wanted if key != "name")
    if mutated and wanted.get("dtype", before["dtype"]) != before["dtype"]:
        raise RefusedError(
            f"Attempted mutation of {old_name} from {before['dtype']} to {wanted['dtype']} is not allowed!"
        )
    if name != old_name:
        messages.append(f"Attribute '{old_name}' renamed to '{name}'.")
        _rewrite(call, kind, owner, lambda found: {name if key == old_name else key: found[key] for key in found})
        before["name"] = name
    after = before | wanted
    if mutated:
        messages.append(f"Attribute '{name}' mutated from:\n{pformat(before)}\nto:\n{pformat(after)}")
    types = [after if one["name"] == old_name else one for one in owner["attribute_types"]]
    call.store.change(kind, owner["id"], attribute_types=types)
    return {"message": "\n".join(messages)}


@operation("DeleteAttributeType", VIEW)
def _remove(call: Call) -> Record:
    kind, owner = _owner(call)
    name = call.body["name"]
    types = [one for one in owner["attribute_types"] if one["name"] != name]
    call.store.change(kind, owner["id"], attribute_types=types)
    _rewrite(call, kind, owner, lambda found: {key: value for key, value in found.items() if key != name})
    return {"message": f"Attribute '{name}' deleted"}
