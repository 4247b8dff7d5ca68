"""Operations on media."""

import copy
import mimetypes
import uuid
from typing import Any

from . import attributes, queries
from .errors import ForbiddenError, MissingError, RefusedError
from .operations import EDIT, FULL, TRANSFER, VIEW, Call, find, is_fine_grained, may, operation, with_permissions
from .store import Record, Store, now

_FILE_ROLES = ("archival", "streaming", "image", "thumbnail", "thumbnail_gif", "attachment", "audio")
_PLAIN_FIELDS = ("name", "num_frames", "fps", "width", "height", "codec", "elemental_id")


def new_media(store: Store, *, project: int, entity_type: Record, name: str, user: int, **fields: Any) -> int:
    """Add a media without files and return its id; `fields` override anything."""
    time = now()
    given = fields.pop("attributes", None) or {}
    section = store.setting("section", str(uuid.uuid4()))
    record = {
        "name": name,
        "media_files": None,
        "last_edit_start": None,
        "last_edit_end": None,
        "attributes": {attributes.SECTIONS: section} | attributes.complete(entity_type["attribute_types"], given),
        "elemental_id": str(uuid.uuid4()),
        "primary_section": 1,
        "project": project,
        "type": entity_type["id"],
        "created_datetime": time,
        "created_by": user,
        "modified_datetime": time,
        "modified_by": user,
        "md5": "0" * 32,
        **dict.fromkeys(("num_frames", "fps", "codec", "width", "height", "summary_level", "gid", "uid")),
        "archive_state": "live",
        "archive_status_date": time,
        "effective_permission": 0,
        "deleted": False,
    }
    return store.add("media", record | fields)


def _shown(call: Call, media: Record) -> Record:
    """Return a media as Tator shows it, with presigned addresses in place of paths if the caller asks."""
    media = {name: value for name, value in media.items() if name != "deleted"}
    seconds = call.params.get("presigned")
    if seconds is None or not media["media_files"]:
        return media
    media = copy.deepcopy(media)
    for role in _FILE_ROLES:
        for definition in media["media_files"].get(role, []):
            for field in ("path", "segment_info"):
                if field in definition and "://" not in definition[field]:  # a reference is kept
                    definition[field] = call.addresses.sign(definition[field], seconds)
    return media


@operation("GetMedia", VIEW, of="media")
def _get_media(call: Call) -> Record:
    return with_permissions([_shown(call, call.target)], call, call.target["project"])[0]


@operation("GetMediaList", VIEW)
@operation("GetMediaListById", VIEW)
def _get_medias(call: Call) -> list[Record]:
    found = [_shown(call, media) for media in queries.medias(call.store, call.params)]
    return queries.chosen_fields(with_permissions(found, call, call.params["project"]), call.params.get("fields"))


@operation("GetMediaCount", VIEW)
def _count_medias(call: Call) -> int:
    return len(queries.medias(call.store, call.params))


@operation("CreateMediaList", TRANSFER)
def _create_medias(call: Call) -> Record:
    """Create media without files. Several in one call must be images, as on the real server."""
    project = call.params["project"]
    specs = call.body if isinstance(call.body, list) else [call.body]
    if not specs:
        raise RefusedError("Expected one or more media specs, received zero!")
    types = [_type_of(call.store, project, spec) for spec in specs]
    for entity_type in types:
        if len(specs) > 1 and entity_type["dtype"] != "image":
            raise RefusedError(
                "Multiple media creation only supports images, found at least one spec with dtype "
                f"{entity_type['dtype']}"
            )
    allowed = (*_PLAIN_FIELDS[1:], "md5", "gid", "uid", "attributes")
    ids = [
        new_media(
            call.store,
            project=project,
            entity_type=entity_type,
            name=spec["name"],
            user=call.user["id"],
            **{name: spec[name] for name in allowed if name in spec},
        )
        for spec, entity_type in zip(specs, types, strict=True)
    ]
    created = [_shown(call, media) for media in (call.store.find("media", number) for number in ids) if media]
    if len(specs) > 1:
        return {"message": f"Started import of {len(ids)} images!", "id": ids, "object": created}
    title = (call.store.find("project", project) or {})["name"]
    message = f"Media object {ids[0]} created for {types[0]['dtype']} {specs[0]['name']} on project {title}"
    if isinstance(call.body, list):
        return {"message": message, "id": ids, "object": created}
    return {"message": message, "id": ids[0], "object": created[0]}


def _type_of(store: Store, project: int, spec: Record) -> Record:
    if spec["type"] == -1:  # "guess it from the name"
        image = (mimetypes.guess_type(spec["name"])[0] or "").startswith("image")
        dtype = "image" if image else "video"
        return next(record for record in store.all("media_type", project) if record["dtype"] == dtype)
    found = store.find("media_type", spec["type"])
    if found is None:
        raise MissingError("MediaType")
    if found["project"] != project:
        raise RefusedError("Media type is not part of project")
    return found


@operation("UpdateMedia", EDIT, of="media")
def _update_media(call: Call) -> Record:
    media, wanted = call.target, call.body
    fields: Record = {name: wanted[name] for name in _PLAIN_FIELDS if name in wanted}
    fields["attributes"] = media["attributes"] | _attribute_changes(call, media)
    if "multi" in wanted:
        fields["media_files"] = _multi(call.store, media, wanted["multi"])
    if "live" in wanted:
        live = {"layout": wanted["live"]["layout"], "live": wanted["live"]["streams"]}
        fields["media_files"] = (media["media_files"] or {}) | live
    if "archive_state" in wanted:
        fields |= _archived(media, wanted["archive_state"])
    # Tator does not change modified_by and modified_datetime.
    call.store.change("media", media["id"], **fields)
    return {"message": f"Media {media['id']} successfully updated!"}


def _attribute_changes(call: Call, media: Record) -> Record:
    entity_type = call.store.find("media_type", media["type"]) or {}
    found = attributes.changes(entity_type, call.params)
    attributes.refuse_unquotable(found)
    return found


def _multi(store: Store, media: Record, multi: Record) -> Record:
    files = media["media_files"] or {}
    if any(files.get(role) for role in ("streaming", "archival", "image", "live", "concat")):
        raise RefusedError("Cannot set a multi definition on a Media that contains individual or concatenated media!")
    for number in multi.get("ids", []):
        part = store.find("media", number)
        if part is None or part["project"] != media["project"]:
            # The braces are the real server's.
            raise RefusedError(
                "One or more media IDs in multi definition is not part of project {media.project.pk} or does not exist!"
            )
    return files | {name: multi[name] for name in ("ids", "layout", "quality") if multi.get(name)}


def _archived(media: Record, wanted: str) -> Record:
    """Return the fields that a request to archive or restore changes; most requests change nothing."""
    states = {
        ("to_live", "archived"): "to_live",
        ("to_live", "to_archive"): "live",
        ("to_archive", "live"): "to_archive",
    }
    state = states.get((wanted, media["archive_state"]))
    return {"archive_state": state, "archive_status_date": now()} if state else {}


@operation("UpdateMediaList", EDIT)
def _update_medias(call: Call) -> Record:
    wanted = call.body
    if not any(name in wanted for name in ("attributes", "reset_attributes", "null_attributes", "archive_state")):
        raise RefusedError(
            "Must specify 'attributes', 'reset_attributes', 'null_attributes', 'user_elemental_id', 'primary_section'"
            " and/or property to patch, but none found"
        )
    found = queries.medias(call.store, call.params)
    queries.expect_count(call.params, found, "update")
    queries.expect_one_type(found)
    new = _attribute_changes(call, found[0]) if found else {}
    for media in found:
        fields = _archived(media, wanted["archive_state"]) if "archive_state" in wanted else {}
        call.store.change("media", media["id"], attributes=media["attributes"] | new, **fields)
    return {"message": f"Successfully patched {len(found)} medias!"}


def _delete(call: Call, media: Record) -> None:
    call.store.change("media", media["id"], deleted=True, modified_by=call.user["id"], modified_datetime=now())
    call.store.execute("DELETE FROM localization WHERE media = ?", media["id"])


@operation("DeleteMedia", EDIT, of="media")
def _delete_media(call: Call) -> Record:
    _delete(call, call.target)
    return {"message": f"Media {call.target['id']} successfully deleted!"}


@operation("DeleteMediaList", EDIT)
def _delete_medias(call: Call) -> Record:
    found = queries.medias(call.store, call.params)
    queries.expect_count(call.params, found, "delete")
    for media in found:
        _delete(call, media)
    return {"message": f"Successfully deleted {len(found)} medias!"}


@operation("CloneMediaList", VIEW)
def _clone_medias(call: Call) -> Record:
    """Copy media into another project; their files stay where they are, below the first project's key."""
    wanted = call.body
    target = find(call.store, "project", wanted["dest_project"])
    if not may(call.user, target, FULL):
        raise ForbiddenError
    entity_type = find(call.store, "media_type", wanted["dest_type"])
    ids = []
    for media in queries.medias(call.store, call.params):
        kept = {name: media[name] for name in (*_PLAIN_FIELDS[1:-1], "media_files", "md5", "gid", "uid")}
        made = new_media(
            call.store,
            project=target["id"],
            entity_type=entity_type,
            name=media["name"],
            user=call.user["id"],
            attributes=media["attributes"],
            **kept,
        )
        ids.append(made)
    return {"message": f"Successfully cloned {len(ids)} medias!", "id": ids}


@operation("GetDownloadInfo", TRANSFER)
def _download_info(call: Call) -> list[Record]:
    """Sign any key of the project, also one without an object, as Tator does.

    An address that is valid for more than an hour is given to the same user again, for any project.
    """
    project = find(call.store, "project", call.params["project"])
    if is_fine_grained(call.store) and not may(call.user, project, FULL):
        raise ForbiddenError
    answer = []
    for key in call.params["keys"]:
        if kept := call.addresses.kept(call.user["id"], key):
            answer.append({"key": key, "url": kept})
            continue
        parts, place = key.split("/"), 3 if key.startswith("_uploads") else 1
        if len(parts) <= place:
            raise RefusedError("list index out of range")
        try:
            number = int(parts[place])
        except ValueError as error:
            raise RefusedError(str(error)) from error
        if number != project["id"]:
            raise ForbiddenError
        answer.append(
            {"key": key, "url": call.addresses.sign_and_keep(call.user["id"], key, call.params["expiration"])}
        )
    return answer
