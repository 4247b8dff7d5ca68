"""The function for each operationId, and the permission that it needs."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import queries, state_rows
from .errors import ForbiddenError, MissingError
from .presigned import Addresses
from .store import Record, Store

# In ascending order; each includes those before it.
PERMISSIONS = ("View Only", "Can Edit", "Can Transfer", "Can Execute", "Full Control")
VIEW, EDIT, TRANSFER, EXECUTE, FULL = PERMISSIONS

_MODELS = {
    "user": "User",
    "project": "Project",
    "media_type": "MediaType",
    "localization_type": "LocalizationType",
    "version": "Version",
    "media": "Media",
    "localization": "Localization",
    "state": "State",
    "state_type": "StateType",
    "algorithm": "Algorithm",
}
# Bits of each permission, as Tator converts memberships (api/main/_permission_util.py): from the right, one byte each
# for the project, its sections and versions, their media, boxes, and objects of those. Bits of a byte, from the right:
# to see that an object exists, to read, make, change, delete, execute, upload, and grant rights.
_MASKS = {VIEW: 0x0303030303, EDIT: 0x1F1F1F1F03, TRANSFER: 0x1F1F5F1F03, EXECUTE: 0x3F1F5F3F23, FULL: 0x3F9FDFBFFF}


@dataclass
class Call:
    """One checked request.

    Attributes:
        user: the token's user.
        params: the body's fields, overridden by the query's and the path's, as Tator merges them.
        body: the body as sent.
        target: the object named by the path's id, if the operation has one.
    """

    store: Store
    addresses: Addresses
    user: Record
    params: dict[str, Any]
    body: Any = None
    target: Record = field(default_factory=dict)


@dataclass(frozen=True)
class Handler:
    """The function and permission of an operation."""

    serve: Callable[[Call], Any]
    needs: str
    of: str | None

    def __call__(self, call: Call) -> Any:
        """Find the target, check the permission, and serve the call.

        Raises:
            MissingError: when the project or the target does not exist; with fine-grained permissions also when the
                target is in a project of which the token's user is not a member.
            ForbiddenError: when the token's user may not do this.
        """
        number = call.params.get("project")
        if self.of is not None:
            call.target = find(call.store, self.of, call.params["id"])
            number = call.target["id"] if self.of == "project" else call.target.get("project")
            if self.of == "state":  # its record does not have the project
                number = state_rows.project(call.store, call.target["id"])
        if number is not None:
            project = find(call.store, "project", number)
            if self.of is not None and is_fine_grained(call.store) and not may(call.user, project, VIEW):
                raise MissingError(_MODELS[self.of])
            if not may(call.user, project, self.needs):
                raise ForbiddenError
        return self.serve(call)


HANDLERS: dict[str, Handler] = {}


def is_fine_grained(store: Store) -> bool:
    """Return whether the server runs as with TATOR_FINE_GRAIN_PERMISSION; `POST /control/permissions` changes it."""
    return store.setting("fine_grained", "") == "1"


def operation(name: str, needs: str, of: str | None = None) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register a function for an operationId; `of` is the kind of object that the path's id names."""

    def register(serve: Callable[[Call], Any]) -> Callable[[Call], Any]:
        HANDLERS[name] = Handler(serve, needs, of)
        return serve

    return register


def may(user: Record, project: Record, needs: str) -> bool:
    """Return whether a user has a permission on a project; users who are not members have none."""
    granted = project["permissions"].get(str(user["id"]))
    return granted is not None and PERMISSIONS.index(granted) >= PERMISSIONS.index(needs)


def find(store: Store, kind: str, id: int) -> Record:
    """Return an object.

    Raises:
        MissingError: when there is none, or a media that was deleted.
    """
    found: Record | None
    if kind == "localization":
        rows: list[sqlite3.Row] = store.rows("SELECT * FROM localization WHERE id = ?", id)
        found = queries.localization(rows[0]) if rows else None
    elif kind == "state":
        rows = store.rows("SELECT * FROM state WHERE id = ? AND NOT deleted", id)
        found = state_rows.shown(store, rows[0]) if rows else None
    else:
        found = store.find(kind, id)
    if found is None or found.get("deleted"):
        raise MissingError(_MODELS[kind])
    return found


def with_permissions(records: list[Record], call: Call, project_id: int) -> list[Record]:
    """Return media or boxes with the user's permissions, which only a site with fine-grained permissions has.

    Those of a box are limited by the section of its media and by its version.
    """
    if not is_fine_grained(call.store):
        return records
    of_project = _MASKS[find(call.store, "project", project_id)["permissions"][str(call.user["id"])]]
    of_media = of_project >> 16
    of_box = of_project >> 24 & of_media
    return [{**record, "effective_permission": of_media if "media_files" in record else of_box} for record in records]
