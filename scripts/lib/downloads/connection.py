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
    """Tator gives no address for a media's file."""


class Connection:
    """Tator and its store, with connections that are kept alive; made when the first media needs them."""

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
        """Ask for the addresses of media that will soon be downloaded, all in one request.

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

        Tator keeps addresses and gives them again by the file's key: the next ones are asked for with the media,
        which signs anew.
        """
        self._refused.add(wanted.media_id)

    def address(self, wanted: MediaRecord) -> str:
        """Return the address of a media's file, the next time another one; secret: it carries a signature.

        Raises:
            NoAddress: Tator gives none for this file.
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
        """Return addresses by media id, and why Tator refused to give them by the files' keys.

        Tator refuses keys to whom its fine-grained permissions do not allow it, of media that were cloned from another
        project, and all keys of a request for the sake of one. It gives the same addresses with the media themselves
        to everybody who may see them, and only there those that are references.
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
