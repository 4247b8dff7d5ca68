"""Routes that Tator does not have: the page for people, and faults, logs and direct changes for tests.

They need no token, are not logged, and have no faults.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, render_template, request

from . import files, medias, seed
from .faults import Faults
from .presigned import Addresses
from .request_log import RequestLog
from .store import KINDS, Record, Store

_MARK = "Object Detector Processed"


class Controls:
    """The routes for tests and people, on the application of the API."""

    def __init__(self, app: Flask, store: Store, addresses: Addresses, faults: Faults, log: RequestLog) -> None:
        self._store = store
        self._addresses = addresses
        self._faults = faults
        self._log = log
        for method, rule, view in (
            ("GET", "/", self._page),
            ("GET", "/faults", self._list_faults),
            ("POST", "/faults", self._order_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("GET", "/requests", self._list_requests),
            ("DELETE", "/requests", self._clear_requests),
            ("GET", "/control/state", self._state),
            ("POST", "/control/media", self._add_media),
            ("POST", "/control/permissions", self._set_permissions),
            ("GET", "/control/<kind>", self._list_records),
            ("POST", "/control/<kind>", self._add_record),
            ("PATCH", "/control/<kind>/<int:number>", self._change_record),
        ):
            app.add_url_rule(rule, view.__name__, view, methods=[method])

    def _list_faults(self) -> Response:
        return jsonify(self._faults.listing())

    def _order_fault(self) -> Response:
        try:
            self._faults.order(request.get_json())
        except ValueError as error:
            return _refused(str(error))
        return self._list_faults()

    def _clear_faults(self) -> Response:
        self._faults.clear()
        return self._list_faults()

    def _list_requests(self) -> Response:
        wanted = request.args.get("operation")
        listed = [entry for entry in self._log.entries if entry.listed and wanted in (None, entry.operation)]
        return jsonify([asdict(entry) for entry in listed])

    def _clear_requests(self) -> Response:
        self._log.entries.clear()
        return jsonify([])

    def _state(self) -> Response:
        people = self._store.all("user")
        state = {
            "store": self._addresses.origin,
            "tokens": {user["username"]: user["token"] for user in people},
            "users": {user["username"]: user["id"] for user in people},
            "foreign_project_id": seed.FOREIGN,
            "multi_type_id": seed.MULTI_TYPE,
            "live_type_id": seed.LIVE_TYPE,
            "dot_type_id": seed.DOT_TYPE,
        }
        return jsonify(state)

    def _add_media(self) -> Response:
        with self._store.transaction():
            return jsonify({"id": add_media(self._store, **request.get_json())})

    def _set_permissions(self) -> Response:
        self._store.change_setting("fine_grained", "1" if request.get_json()["fine_grained"] else "")
        return jsonify({})

    def _list_records(self, kind: str) -> Response:
        return (
            jsonify(self._store.all(kind)) if kind in KINDS else _refused(f"kind {kind!r}: one of {', '.join(KINDS)}")
        )

    def _add_record(self, kind: str) -> Response:
        if kind not in KINDS:
            return _refused(f"kind {kind!r}: one of {', '.join(KINDS)}")
        return jsonify({"id": self._store.add(kind, request.get_json())})

    def _change_record(self, kind: str, number: int) -> Response:
        if kind not in KINDS or self._store.find(kind, number) is None:
            return _refused(f"no {kind} {number}")
        with self._store.transaction():
            self._store.change(kind, number, **request.get_json())
        return jsonify(self._store.find(kind, number))

    def _page(self) -> str:
        with self._store.transaction():
            return render_template("page.html", **_overview(self._store))


def add_media(
    store: Store,
    *,
    name: str,
    project: int = seed.PROJECT,
    dtype: str = "video",
    files_by_role: dict[str, list[str]] | None = None,
    attributes: Record | None = None,
    **fields: Any,
) -> int:
    """Add a media of any kind and return its id.

    Args:
        store: the server's state.
        name: name of the media.
        project: id of its project.
        dtype: kind of the media, whose first type in the project is used unless `fields` has a `type`.
        files_by_role: files to copy in, by role (archival, streaming, image).
        attributes: attributes of the media, completed by the type's defaults.
        fields: other fields of the media, which override those that would be set.
    """
    types = store.all("media_type", project)
    entity_type = next(record for record in types if record["dtype"] == dtype)
    number = medias.new_media(
        store, project=project, entity_type=entity_type, name=name, user=seed.ADMIN, attributes=attributes
    )
    found = {}
    if files_by_role:
        found = _dimensions(files_by_role) | {"media_files": files.add_copies(store, project, number, files_by_role)}
    store.change("media", number, **(found | fields))
    return number


def _dimensions(files_by_role: dict[str, list[str]]) -> Record:
    """Return the fields that Tator would set from the media's best file; the checksum only from the original."""
    role = next(role for role in ("archival", "image", "streaming", *files_by_role) if role in files_by_role)
    path = Path(files_by_role[role][-1])
    found = files.probe(path)
    dimensions = {"num_frames": found.num_frames, "fps": found.fps, "width": found.width, "height": found.height}
    return dimensions if role == "streaming" else dimensions | {"md5": files.tator_md5(path)}


def _overview(store: Store) -> dict[str, Any]:
    """Return the content of the page: the project's media, and boxes by version."""
    boxes = store.rows(
        "SELECT version, media, COUNT(*) AS boxes FROM localization AS row WHERE NOT variant_deleted AND mark ="
        " (SELECT MAX(mark) FROM localization AS o WHERE o.elemental_id = row.elemental_id AND o.version = row.version)"
        " GROUP BY version, media"
    )
    counts = {(row["version"], row["media"]): row["boxes"] for row in boxes}
    versions = store.all("version", seed.PROJECT)
    media = [record for record in store.all("media", seed.PROJECT) if not record["deleted"]]
    marks = {record["id"]: record["attributes"].get(_MARK) or "No" for record in media}
    return {
        "project": store.find("project", seed.PROJECT),
        "types": {record["id"]: record for record in store.all("media_type")},
        "media": media,
        "marks": marks,
        "marked": sum(mark != "No" for mark in marks.values()),
        "versions": versions,
        "counts": counts,
        "totals": {v["id"]: sum(n for (version, _), n in counts.items() if version == v["id"]) for v in versions},
    }


def _refused(message: str) -> Response:
    response = jsonify({"message": message})
    response.status_code = 400
    return response
