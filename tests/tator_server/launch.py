"""Start the server as a separate process, and call its controls.

with launch.running(media_folder, state_folder) as server:
    api = tator.get_api(server.host, server.token)
    server.fault("drop_answer", operation="CreateLocalizationList")
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import requests

from tests.forks import context

from .__main__ import main

_START_SECONDS = 60.0
_CONTROL_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        host: the API's address, without `/rest`.
        token: the admin's, with full control.
        tokens: by name: `admin`; `person` (can edit, not download); `viewer` (view only).
        users: user ids by name.
        media: file names by media id, as they were when the server started.
        store: the object store's origin; presigned addresses begin with it.
        pid: the process.
    """

    host: str
    token: str
    project_id: int
    video_type_id: int
    image_type_id: int
    localization_type_id: int
    version_id: int
    media: dict[int, str]
    store: str
    tokens: dict[str, str]
    users: dict[str, int]
    foreign_project_id: int
    multi_type_id: int
    live_type_id: int
    dot_type_id: int
    pid: int

    def fault(self, kind: str, **settings: Any) -> None:
        """Order a fault; faults.py lists the kinds and settings."""
        self._control("POST", "/faults", {"kind": kind, **settings})

    def faults(self) -> dict[str, list[dict[str, Any]]]:
        """Return the `pending` and the `fired` faults."""
        found: dict[str, list[dict[str, Any]]] = self._control("GET", "/faults")
        return found

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._control("DELETE", "/faults")

    def requests(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the log of requests, of one operationId if given (`Download` for presigned addresses)."""
        query = f"?operation={operation}" if operation else ""
        found: list[dict[str, Any]] = self._control("GET", f"/requests{query}")
        return found

    def clear_requests(self) -> None:
        """Empty the log of requests."""
        self._control("DELETE", "/requests")

    def add_media(self, name: str, **fields: Any) -> int:
        """Add a media and return its id.

        Args:
            name: any text.
            fields: `dtype` (video), `project`, `files` ({role: [path]}: copied; roles are archival, streaming, image),
                and other fields of the media, which override those that would be set.
        """
        files = {role: [str(path) for path in paths] for role, paths in fields.pop("files", {}).items()}
        return int(self._control("POST", "/control/media", {"name": name, "files_by_role": files, **fields})["id"])

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of a kind as they are stored."""
        found: list[dict[str, Any]] = self._control("GET", f"/control/{kind}")
        return found

    def add(self, kind: str, **fields: Any) -> int:
        """Add a record as it is to be stored (localization_type, media_type, project, user) and return its id."""
        return int(self._control("POST", f"/control/{kind}", fields)["id"])

    def change(self, kind: str, number: int, **fields: Any) -> dict[str, Any]:
        """Set fields of a record directly (media, project, a type) and return it."""
        found: dict[str, Any] = self._control("PATCH", f"/control/{kind}/{number}", fields)
        return found

    def use_fine_grained_permissions(self, fine_grained: bool = True) -> None:
        """Continue as a server with TATOR_FINE_GRAIN_PERMISSION, or without it."""
        self._control("POST", "/control/permissions", {"fine_grained": fine_grained})

    def _control(self, method: str, path: str, body: object = None) -> Any:
        answer = requests.request(method, f"{self.host}{path}", json=body, timeout=_CONTROL_SECONDS)
        if not answer.ok:
            raise ValueError(f"{method} {path}: {answer.text}")
        return answer.json()


@contextmanager
def running(
    media_folder: Path, state_folder: Path, *, port: int = 0, store_port: int = 0, clock_ahead: float = 0.0
) -> Iterator[Server]:
    """Serve a folder's media until the block ends, with a clock that is `clock_ahead` seconds ahead.

    Raises:
        RuntimeError: when the server does not start.
    """
    arguments = ["--media", media_folder.resolve(), "--state", state_folder.resolve(), "--port", port]
    arguments += ["--store-port", store_port, "--clock-ahead", clock_ahead]
    receiver, sender = context().Pipe(duplex=False)
    process = context().Process(target=main, args=([str(argument) for argument in arguments], sender.send))
    process.start()
    sender.close()
    try:
        yield _server(receiver, process.pid or 0)
    finally:
        process.terminate()
        process.join()


def _server(receiver: Connection, pid: int) -> Server:
    """Return the server of a process, after it has sent its address and ids."""
    try:
        first = receiver.recv() if receiver.poll(_START_SECONDS) else None
    except EOFError:
        first = None
    if first is None:
        raise RuntimeError("the stand-in Tator server did not start; see its stderr above")
    state = requests.get(f"{first['host']}/control/state", timeout=_CONTROL_SECONDS).json()
    return Server(**first, **state, pid=pid)
