"""The connection of a download job to Tator and its store."""

import logging
from collections.abc import Sequence
from functools import cached_property

import requests

from scripts.lib.downloads.references import is_reference, presigned_address
from scripts.lib.errors import ServerError
from scripts.lib.records import MediaRecord
from scripts.lib.server.api import Project
from scripts.lib.server.faults import Refused, TokenRefused
from scripts.lib.server.sessions import store_session

_log = logging.getLogger(__name__)


class NoAddress(ServerError):
    """Tator has no address for a media's file."""


class Connection:
    """Tator and its store, with connections that are kept alive, opened when the first media needs them."""

    def __init__(self, host: str, project_id: int) -> None:
        self._host, self._project_id = host, project_id
        self._asked_ahead: dict[int, str] = {}
        self._refused: set[int] = set()

    @cached_property
    def project(self) -> Project:
        """Tator itself."""
        return Project(self._host, self._project_id)

    @cached_property
    def store(self) -> requests.Session:
        """Its store, which gets no token."""
        return store_session(self._host)

    def ask_ahead(self, wanted: Sequence[MediaRecord]) -> None:
        """Request the addresses of media that will soon be downloaded, all at once.

        Args:
            wanted: the media's records.
        """
        try:
            addresses, _ = self._addresses(wanted)
            self._asked_ahead |= addresses
        except ServerError as error:
            _log.warning("%s; each address is asked for by itself", error)

    def refused(self, wanted: MediaRecord) -> None:
        """Note that the store refused the last address of a media's file.

        Tator caches addresses by the file's key. So the next ones are requested with the media, for which Tator makes
        new signatures.
        """
        self._refused.add(wanted.media_id)

    def address(self, wanted: MediaRecord) -> str:
        """Return the address of a media's file, a new one at each call; secret, as it contains a signature.

        Raises:
            NoAddress: Tator has none for this file.
            ServerError: Tator fails.
        """
        media_id = wanted.media_id
        if (known := self._asked_ahead.pop(media_id, None)) is not None:
            return known
        addresses, refusal = self._addresses([wanted])
        if media_id not in addresses:
            why = f" ({refusal})" if refusal else ""
            raise NoAddress(
                f"media {media_id}: Tator no longer lists the {wanted.chosen_file.role} file that was chosen{why}; "
                "run again with --forcerun resolve_media"
            )
        return addresses[media_id]

    def _addresses(self, wanted: Sequence[MediaRecord]) -> tuple[dict[int, str], Refused | None]:
        """Return addresses by media id, and why Tator refused to return them by the files' keys.

        Tator refuses keys if its fine-grained permissions do not allow them, for media that were cloned from another
        project, and all keys of a request because of one. With the media themselves it returns the same addresses
        to everybody who may see them, and only there those of references.
        """
        found: dict[int, str] = {}
        refusal = None
        stored = [
            each for each in wanted if not is_reference(each.chosen_file.path) and each.media_id not in self._refused
        ]
        if stored:
            try:
                addresses = self.project.addresses([each.chosen_file.path for each in stored])
                found = {each.media_id: address for each, address in zip(stored, addresses, strict=True)}
            except TokenRefused:  # which no other way of asking would change
                raise
            except Refused as error:
                _log.info("%s; asking for the media themselves", error)
                refusal = error
        left = [each for each in wanted if each.media_id not in found]
        if left:
            listed = self.project.presigned_media([each.media_id for each in left])
            for each in left:
                address = presigned_address(listed.get(each.media_id, {}), each.chosen_file)
                if address is not None:
                    found[each.media_id] = address
        return found, refusal
