"""Operations that register an algorithm, from the source of Tator 1.5; they were not recorded.

Statuses, messages and the order of the checks are those of the source, also where it accepts wrong requests: the new
manifest and the new name of an existing algorithm are not checked, and its cluster cannot be removed. Saved manifests
are kept for ever.
"""

import secrets
import uuid
from datetime import UTC, datetime
from pathlib import PurePosixPath

import yaml

from .errors import ForbiddenError, MissingError, NotCoveredError, RefusedError
from .operations import EDIT, TRANSFER, VIEW, Call, operation
from .store import Record

_FIELDS = ("name", "user", "description", "manifest", "cluster", "files_per_job", "categories", "parameters", "tparams")
_LENGTHS = {"name": 128, "description": 1024}
_ORGANIZATION = 1


def _absent(model: str) -> RefusedError:
    """Return Django's 404 for a missing record, which differs from that for an id in the address."""
    return RefusedError(f"{model} matching query does not exist.", status=404)


@operation("GetAlgorithmList", VIEW)
def _get_algorithms(call: Call) -> list[Record]:
    return [{"template": None, **record} for record in call.store.all("algorithm", call.params["project"])]


@operation("RegisterAlgorithm", EDIT)
def _register(call: Call) -> Record:
    project, name = call.params["project"], call.body["name"]
    if any(record["name"] == name for record in call.store.all("algorithm", project)):
        raise RefusedError(f"Provided algorithm workflow name '{name}' already exists for project '{project}'")
    user = _user(call)
    _check_manifest(call)
    files_per_job = call.body["files_per_job"]
    if files_per_job < 1:
        raise RefusedError(f"Provided files_per_job ({files_per_job}) must be at least 1")
    _check_cluster(call, user)
    record = {**dict.fromkeys(_FIELDS), "tparams": [], **_fields_of(call), "project": project}
    record["manifest"] = f"{project}/{PurePosixPath(call.body['manifest']).name}"
    number = call.store.add("algorithm", record)
    return {"message": "Successfully registered algorithm argo workflow.", "id": number}


@operation("UpdateAlgorithm", EDIT, of="algorithm")
def _update(call: Call) -> Record:
    _check_cluster(call, _user(call))
    call.store.change("algorithm", call.target["id"], **_fields_of(call))
    return {"message": f"Algorithm {call.target['id']} successfully updated!"}


def _fields_of(call: Call) -> Record:
    """Return the fields of the body that are written; none of them can be set to null."""
    if call.body.get("template") is not None:
        raise NotCoveredError("hosted templates")
    given = {name: call.body[name] for name in _FIELDS if call.body.get(name) is not None}
    for name, length in _LENGTHS.items():
        if len(given.get(name, "")) > length:
            message = f"value too long for type character varying({length})\n"
            raise RefusedError(message, details=message)
    return given


def _user(call: Call) -> Record:
    """Return the user that the body names, who may differ from the token's user."""
    user = call.store.find("user", call.body["user"])
    if user is None:
        raise _absent("User")
    return user


def _check_manifest(call: Call) -> None:
    if "manifest" not in call.body:
        raise RefusedError("'manifest'")
    name = PurePosixPath(call.body["manifest"]).name
    texts = {record["path"]: record["text"] for record in call.store.all("manifest", call.params["project"])}
    text = texts.get(f"{call.params['project']}/{name}")
    if text is None:
        raise RefusedError(f"Provided manifest ({name}) does not exist in /media")
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RefusedError(str(error)) from error


def _check_cluster(call: Call, user: Record) -> None:
    number = call.body.get("cluster")
    if number is None and not user["is_staff"]:
        raise RefusedError("Only staff users can save an algorithm with cluster: None.", status=403)
    if number is not None and (call.store.find("job_cluster", number) or {}).get("organization") != _ORGANIZATION:
        raise _absent("JobCluster")


# Tator intends to require Can Transfer, as here; in 1.5 that attribute's name is misspelt, so that anybody may.
@operation("SaveAlgorithmManifest", TRANSFER)
def _save_manifest(call: Call) -> Record:
    for needed in ("upload_url", "name"):
        if needed not in call.body:
            raise RefusedError(f"'{needed}'")
    url, name = call.body["upload_url"], PurePosixPath(call.body["name"])
    path = f"{call.params['project']}/{name.stem}_{secrets.token_hex(8)}{name.suffix}"
    content = call.addresses.content(url)
    if content is None:
        command = ["wget", "-q", "-O", f"/media/{path}", url]
        raise RefusedError(f"Command '{command}' returned non-zero exit status 8.")
    call.store.add("manifest", {"project": call.params["project"], "path": path, "text": content.decode()})
    return {"url": path}


@operation("GetUploadInfo", TRANSFER)
def _upload_info(call: Call) -> Record:
    if call.params["num_parts"] > 1:
        raise NotCoveredError("uploads in parts")
    today, user = datetime.now(UTC).date().isoformat(), call.user["id"]
    key = f"_uploads/{today}/{_ORGANIZATION}/{call.params['project']}/{user}/{uuid.uuid1()}"
    return {"urls": [call.addresses.sign(key, call.params["expiration"], "PUT")], "key": key, "upload_id": ""}


@operation("GetJobClusterList", VIEW)
def _get_clusters(call: Call) -> list[Record]:
    """Return the clusters with their credentials, as Tator does, to the organization's admins."""
    organization = call.params["organization"]
    if organization != _ORGANIZATION:
        raise MissingError("Organization")
    affiliation = call.user.get("affiliation")
    if affiliation is None:
        raise ForbiddenError
    if affiliation != "Admin":
        who = f"{call.user['first_name']} {call.user['last_name']}"
        message = f"User {who} does not have Admin permissions for organization {organization}"
        raise RefusedError(message, status=403)
    return [one for one in call.store.all("job_cluster") if one["organization"] == organization]
