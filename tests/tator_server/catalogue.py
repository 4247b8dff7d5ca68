"""Operations on users, projects, types, sections and versions."""

import uuid
from typing import Any

from . import queries, state_rows
from .errors import MissingError, RefusedError
from .operations import EDIT, VIEW, Call, find, may, operation
from .store import Record, Store

_USER_FIELDS = ("id", "username", "first_name", "last_name", "email", "is_staff", "elemental_id", "profile")


def _user(record: Record) -> Record:
    return {name: record[name] for name in _USER_FIELDS}  # without the token


@operation("Whoami", VIEW)
def _whoami(call: Call) -> Record:
    return _user(call.user)


@operation("GetUser", VIEW)
def _get_user(call: Call) -> Record:
    return _user(find(call.store, "user", call.params["id"]))


@operation("GetUserList", VIEW)
def _get_users(call: Call) -> list[Record]:
    wanted = {name: call.params[name] for name in ("username", "email", "elemental_id") if name in call.params}
    return [_user(user) for user in call.store.all("user") if all(user[k] == v for k, v in wanted.items())]


def _project(call: Call, record: Record) -> Record:
    media = [media for media in call.store.all("media", record["id"]) if not media["deleted"]]
    shown = {name: value for name, value in record.items() if name not in ("permissions", "creator")}
    granted = record["permissions"][str(call.user["id"])]
    permission = "Creator" if record.get("creator") == call.user["id"] else granted
    return shown | {"num_files": len(media), "permission": permission}


@operation("GetProject", VIEW, of="project")
def _get_project(call: Call) -> Record:
    return _project(call, call.target)


@operation("GetProjectList", VIEW)
def _get_projects(call: Call) -> list[Record]:
    return [_project(call, record) for record in call.store.all("project") if may(call.user, record, VIEW)]


def _by_elemental_id(call: Call, records: list[Record]) -> list[Record]:
    wanted = call.params.get("elemental_id")
    return [record for record in records if wanted in (None, record["elemental_id"])]


@operation("GetMediaType", VIEW, of="media_type")
@operation("GetLocalizationType", VIEW, of="localization_type")
@operation("GetVersion", VIEW, of="version")
def _get_one(call: Call) -> Record:
    return call.target


@operation("GetMediaTypeList", VIEW)
def _get_media_types(call: Call) -> list[Record]:
    return _by_elemental_id(call, call.store.all("media_type", call.params["project"]))


@operation("GetLocalizationTypeList", VIEW)
def _get_localization_types(call: Call) -> list[Record]:
    found = call.store.all("localization_type", call.params["project"])
    if media_ids := call.params.get("media_id"):
        if len(media_ids) > 1:
            raise RefusedError("Entity type list endpoints expect only one media ID!")
        media = call.store.find("media", media_ids[0])
        if media is None:
            raise MissingError("Media")
        found = [record for record in found if media["type"] in record["media"]]
    return sorted(_by_elemental_id(call, found), key=lambda record: record["name"])


def new_version(store: Store, project: int, user: int | None, **fields: Any) -> int:
    """Add a version with the next number and return its id."""
    numbers = [record["number"] for record in store.all("version", project)]
    plain: Record = {
        "name": "",
        "description": "",
        "show_empty": True,
        "elemental_id": str(uuid.uuid4()),
        "number": max(numbers, default=-1) + 1,
        "project": project,
        "created_by": user,
        "effective_permission": 0,
        "bases": [],
    }
    return store.add("version", plain | {name: value for name, value in fields.items() if name in plain})


def sections(store: Store, project: int) -> list[Record]:
    """Return a project's folders: those that were added, and one for each number that media name."""
    found = {record["id"]: record for record in store.all("section", project)}
    for number in {media["primary_section"] for media in store.all("media", project)} - found.keys():
        found[number] = {"id": number, "project": project, "name": f"Folder {number}", "path": f"Folder_{number}"}
    return [found[number] for number in sorted(found)]


@operation("GetSectionList", VIEW)
def _get_sections(call: Call) -> list[Record]:
    return sections(call.store, call.params["project"])


@operation("GetVersionList", VIEW)
def _get_versions(call: Call) -> list[Record]:
    return sorted(call.store.all("version", call.params["project"]), key=lambda record: record["number"])


@operation("CreateVersion", EDIT)
def _create_version(call: Call) -> Record:
    number = new_version(call.store, call.params["project"], call.user["id"], **call.body)
    return {"message": "Created version successfully!", "id": number}


@operation("UpdateVersion", EDIT, of="version")
def _update_version(call: Call) -> Record:
    fields = ("name", "description", "show_empty", "elemental_id")
    call.store.change("version", call.target["id"], **{name: call.body[name] for name in fields if name in call.body})
    return {"message": f"Version {call.target['id']} updated successfully!"}


@operation("DeleteVersion", EDIT, of="version")
def _delete_version(call: Call) -> Record:
    version = call.target["id"]
    of_version = {"project": call.target["project"], "version": [version]}
    boxes, tracks = queries.localizations(call.store, of_version), state_rows.listed(call.store, of_version)
    if boxes or tracks:
        raise RefusedError(
            f"Cannot delete version with annotations! Found {len(boxes)} localizations, {len(tracks)} states!"
        )
    for row in call.store.rows("SELECT id FROM state WHERE version = ?", version):
        state_rows.remove(call.store, row["id"])
    call.store.execute("DELETE FROM localization WHERE version = ?", version)
    call.store.remove("version", version)
    return {"message": f"Version {version} deleted successfully!"}
