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
    """Tator does not return an address for a media's file."""


class Connection:
    """Connections to Tator and its store, opened when the first media needs them, and kept alive."""

    def __init__(self, host: str, project_id: int) -> None:
        self._host, self._project_id = host, project_id
        self._prefetched: dict[int, str] = {}
        self._refused: set[int] = set()

    @cached_property
    def project(self) -> Project:
        """The project in Tator."""
        return Project(self._host, self._project_id)

    @cached_property
    def store(self) -> requests.Session:
        """The session for Tator's store, without the token."""
        return store_session(self._host)

    def prefetch_addresses(self, wanted: Sequence[MediaRecord]) -> None:
        """Request the addresses of media that will soon be downloaded, in one call.

        Args:
            wanted: the media's records.
        """
        try:
            addresses, _ = self._addresses(wanted)
            self._prefetched |= addresses
        except ServerError as error:
            _log.warning("%s; each address is requested separately", error)

    def note_refusal(self, wanted: MediaRecord) -> None:
        """Note that the store refused the last address of a media's file.

        Tator caches addresses by the file's key. So the next address is requested with the media, for which Tator
        makes a new signature.
        """
        self._refused.add(wanted.media_id)

    def address(self, wanted: MediaRecord) -> str:
        """Return the address of a media's file, a new one at each call; it is secret, as it contains a signature.

        Raises:
            NoAddress: Tator does not return an address for this file.
            ServerError: Tator fails.
        """
        media_id = wanted.media_id
        if (prefetched := self._prefetched.pop(media_id, None)) is not None:
            return prefetched
        addresses, refusal = self._addresses([wanted])
        if media_id not in addresses:
            why = f" ({refusal})" if refusal else ""
            raise NoAddress(
                f"media {media_id}: Tator no longer lists the {wanted.chosen_file.role} file that was chosen{why}; "
                "run again with --forcerun resolve_media"
            )
        return addresses[media_id]

    def _addresses(self, wanted: Sequence[MediaRecord]) -> tuple[dict[int, str], Refused | None]:
        """Return addresses by media id, and Tator's refusal to return them by the files' keys, if there was one.

        Tator refuses keys if its fine-grained permissions do not allow them, and for media that were cloned from
        another project; one refused key makes it refuse the whole request. With the media themselves it returns the
        same addresses to everybody who may see the media, and only there the addresses of references.
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
            except TokenRefused:  # another request would be refused too
                raise
            except Refused as error:
                _log.info("%s; requesting the media themselves", error)
                refusal = error
        remaining = [each for each in wanted if each.media_id not in found]
        if remaining:
            listed = self.project.presigned_media([each.media_id for each in remaining])
            for each in remaining:
                address = presigned_address(listed.get(each.media_id, {}), each.chosen_file)
                if address is not None:
                    found[each.media_id] = address
        return found, refusal
