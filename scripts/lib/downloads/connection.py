"""Tator and its store, as a job that downloads needs them."""

import logging
from collections.abc import Sequence
from functools import cached_property

import requests

from scripts.lib.errors import ServerError
from scripts.lib.server.api import Project
from scripts.lib.server.sessions import store_session

_log = logging.getLogger(__name__)


class Connection:
    """Tator and its store, with connections that are kept alive; made when the first media needs them."""

    def __init__(self, host: str, project_id: int) -> None:
        self._host, self._project_id = host, project_id
        self._foreseen: dict[str, str] = {}

    @cached_property
    def project(self) -> Project:
        """Tator itself."""
        return Project(self._host, self._project_id)

    @cached_property
    def store(self) -> requests.Session:
        """Its store, which gets no token."""
        return store_session(self._host)

    def foresee(self, paths: Sequence[str]) -> None:
        """Ask for the addresses of files that will soon be downloaded, all in one request."""
        try:
            self._foreseen |= zip(paths, self.project.addresses(paths), strict=True)
        except ServerError as error:
            _log.warning("%s; each address is asked for by itself", error)

    def address(self, path: str) -> str:
        """Return an address, the next time another one; secret: it carries a signature."""
        return self._foreseen.pop(path, None) or self.project.addresses([path])[0]
