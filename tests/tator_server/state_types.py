"""Operations on types of states; those of tracks are associated with localizations."""

import uuid

from . import attributes, state_rows
from .operations import FULL, VIEW, Call, operation
from .store import Record


@operation("GetStateType", VIEW, of="state_type")
def _get_type(call: Call) -> Record:
    return call.target


@operation("GetStateTypeList", VIEW)
def _get_types(call: Call) -> list[Record]:
    return sorted(call.store.all("state_type", call.params["project"]), key=lambda record: record["name"])


@operation("CreateStateType", FULL)
def _create_type(call: Call) -> Record:
    spec = call.body
    kinds = [{"description": "", "required": False, "order": 0, **one} for one in spec.get("attribute_types", [])]
    for kind in kinds:
        attributes.check_type(kind)
        bounds = {"minimum", "maximum"} & kind.keys() if kind["dtype"] == "float" else ()
        kind.update({bound: float(kind[bound]) for bound in bounds})
    body = {
        "project": call.params["project"],
        "name": spec["name"],
        "description": spec.get("description", ""),
        "dtype": "state",
        "attribute_types": kinds,
        "interpolation": spec.get("interpolation", "latest"),
        "association": spec["association"],
        "visible": True,
        "grouping_default": True,
        "delete_child_localizations": spec.get("delete_child_localizations", False),
        "default_localization": None,
        "elemental_id": str(uuid.uuid4()),
        "effective_permission": 0,
        "media": sorted(spec["media_types"]),
    }
    return {"message": "State type created successfully!", "id": call.store.add("state_type", body)}


@operation("DeleteStateType", FULL, of="state_type")
def _delete_type(call: Call) -> Record:
    rows = call.store.rows("SELECT id FROM state WHERE type = ?", call.target["id"])
    for row in rows:
        state_rows.remove(call.store, row["id"])
    call.store.remove("state_type", call.target["id"])
    return {"message": f"State type {call.target['id']} (and {len(rows)} instances) deleted successfully!"}
