"""The calls that register an algorithm in a Tator project, and add the attributes that it needs to its types."""

from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tator.exceptions import ApiException

from scripts.lib.errors import ServerError
from scripts.lib.registering import manifest
from scripts.lib.server import project_needs, rights, rows, values
from scripts.lib.server.api import Project
from scripts.lib.server.faults import Refused
from scripts.lib.server.sessions import store_session


class AlgorithmProject(Project):
    """A project's algorithms, and the token's user; raises the errors of `Project`."""

    def user(self) -> dict[str, Any]:
        """Return the token's user."""
        what = "ask who the token's user is"
        found = rows.single(what, self._read(what, self._api.whoami))
        with rows.used_for(what):
            name = values.text(found.get("username"), "username")
            number = rows.identifier(found)
        return {**found, "username": name, "id": number, "is_staff": found.get("is_staff") is True}

    def project(self) -> dict[str, Any]:
        """Return the project, with the user's permission in it."""
        what = "read the project"
        found = rows.single(what, self._read(what, lambda: self._api.get_project(self.id)))
        with rows.used_for(what):
            values.text(found.get("name"), "name")
            values.text(found.get("permission"), "permission")
            values.whole(found.get("organization"), "organization")
        return found

    def clusters(self, organization: int) -> dict[int, str] | None:
        """Return the names of an organization's job clusters; None if the user may not see them.

        Tator's answer contains the clusters' credentials too: only the names are returned.
        """
        try:
            found = self._rows("list job clusters", lambda: self._api.get_job_cluster_list(organization))
        except Refused as refusal:
            if refusal.status == 403:
                return None
            raise
        return {cluster["id"]: project_needs.shown(cluster.get("name")) for cluster in found}

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the project's algorithms of this name: at most one, unless somebody renamed another."""
        found = self._rows("list algorithms", lambda: self._api.get_algorithm_list(self.id))
        return [algorithm for algorithm in found if algorithm.get("name") == name]

    def add_attribute(self, kind: str, type_id: int, name: str, dtype: str) -> None:
        """Add an attribute without a default to a MediaType or LocalizationType; may raise LostAnswer."""
        addition = {"name": name, "dtype": dtype, "required": False, "description": "Set by the detection workflow"}
        body = {"entity_type": kind, "addition": addition}
        call = partial(self._api.create_attribute_type, type_id, body)
        self._write(f"add the attribute {name!r}", call, needs=rights.FULL)

    def store_manifest(self, text: str) -> str:
        """Upload a manifest and store it in Tator; return its path there.

        A second call leaves a second file, which is not used and cannot be removed over REST.
        """
        content = text.encode()
        get_address = partial(self._api.get_upload_info, self.id)
        what = "get an upload address"
        upload = rows.single(what, self._read(what, get_address, needs=rights.TRANSFER))
        with rows.used_for(what):
            key = values.text(upload.get("key"), "key")
            target = rows.address({"url": next(iter(values.array(upload.get("urls"), "urls")), None)})
        self._read("upload the manifest", lambda: _put(self.host, target, content))
        spec = {"name": manifest.file_name(text), "upload_url": self.addresses([key])[0]}
        save = partial(self._api.save_algorithm_manifest, self.id, spec)
        what = "keep the manifest"
        kept = rows.single(what, self._read(what, save, needs=rights.TRANSFER))
        with rows.used_for(what):
            return values.text(kept.get("url"), "url")

    def may_get_addresses(self) -> bool:
        """Return whether the user may get addresses by files' keys, which is needed to store a manifest.

        An address is requested, since only the answer shows whether the site has fine-grained permissions. Tator
        returns one even if there is no such file.
        """
        try:
            self.addresses([f"1/{self.id}/0/none"])
        except Refused as refusal:
            if refusal.status == 403:
                return False
            raise
        return True

    def register(self, spec: dict[str, Any]) -> None:
        """Register an algorithm; may raise LostAnswer."""
        self._write(
            "register the algorithm", lambda: self._api.register_algorithm(self.id, spec), needs=rights.TRANSFER
        )

    def update(self, algorithm_id: int, spec: dict[str, Any]) -> None:
        """Change an algorithm; Tator requires its name, user and files_per_job each time."""
        self._read(
            "update the algorithm", lambda: self._api.update_algorithm(algorithm_id, spec), needs=rights.TRANSFER
        )


def _put(site: str, address: str, content: bytes) -> None:
    """Send content to a presigned address, which needs no token and must not get one."""
    azure = {"x-ms-blob-type": "BlockBlob"} if "sig" in parse_qs(urlsplit(address).query) else {}
    with store_session(site) as store:
        answer = store.put(address, data=content, headers=azure)
    if answer.status_code >= 500:
        raise ApiException(status=answer.status_code)
    if not answer.ok:
        raise ServerError(
            f"upload the manifest: the store {urlsplit(address).netloc} answered {answer.status_code}; expected 200; "
            "run again, and if it lasts ask who runs the site"
        )
