"""Serve a folder of media as a Tator server would, on loopback, until stopped."""

import argparse
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from . import seed
from .app import api_app
from .faults import Faults
from .presigned import Addresses, store_app
from .request_log import RequestLog
from .store import Store, clock

_LOOPBACK = "127.0.0.1"


class _QuietHandler(WSGIRequestHandler):
    """Handler that logs no lines, since `GET /requests` has more."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time for the header Date, by the server's clock."""
        return super().date_time_string(clock.now().timestamp() if timestamp is None else timestamp)

    def make_environ(self) -> dict[str, Any]:
        """Return the WSGI environment, with all slashes at the path's beginning, which Python reduces to one."""
        environ = super().make_environ()
        target = self.requestline.split()[1]
        slashes = len(target) - len(target.lstrip("/"))
        return {**environ, "PATH_INFO": "/" * (slashes - 1) + environ["PATH_INFO"]}

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """End the connection after its peer has closed it, or a test ordered its end."""
        self.close_connection = True


def _listen(port: int) -> BaseWSGIServer:
    """Open a port before its application exists, since the addresses that it signs contain the port."""
    return make_server(_LOOPBACK, port, Flask(__package__), threaded=True, request_handler=_QuietHandler)


def write(first: dict[str, Any]) -> None:
    """Write the server's address and ids as a line of JSON."""
    print(json.dumps(first), flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None, ready: Callable[[dict[str, Any]], None] = write) -> None:
    """Serve until stopped.

    Args:
        arguments: arguments in place of those of the command line.
        ready: called with the server's address and ids once both of its ports are open.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.tator_server", description=__doc__)
    parser.add_argument("--media", type=Path, required=True, help="folder of which each file becomes a media")
    parser.add_argument("--state", type=Path, required=True, help="folder in which everything is kept")
    parser.add_argument("--port", type=int, default=0, help="the API's port; 0 picks a free one")
    parser.add_argument("--store-port", type=int, default=0, help="the object store's port; 0 picks a free one")
    parser.add_argument("--clock-ahead", type=float, default=0.0, help="seconds by which the server's clock is ahead")
    options = parser.parse_args(arguments)
    clock.ahead = options.clock_ahead
    if not options.media.is_dir():
        parser.error(f"--media {options.media}: no such folder")

    store = Store(options.state, options.media)
    with store.transaction():
        seed.seed(store)
        seed.add_files(store, options.media)
    api, objects = _listen(options.port), _listen(options.store_port)
    addresses = Addresses(store, f"http://{_LOOPBACK}:{objects.port}")
    faults, log = Faults(), RequestLog()
    api.app = api_app(store, addresses, faults, log)
    objects.app = store_app(store, addresses, faults, log)
    threading.Thread(target=objects.serve_forever, daemon=True).start()
    first = {
        "host": f"http://{_LOOPBACK}:{api.port}",
        "token": (store.find("user", seed.ADMIN) or {})["token"],
        "project_id": seed.PROJECT,
        "video_type_id": seed.VIDEO_TYPE,
        "image_type_id": seed.IMAGE_TYPE,
        "localization_type_id": seed.BOX_TYPE,
        "version_id": seed.BASELINE,
        "media": {media["id"]: media["name"] for media in store.all("media", seed.PROJECT) if not media["deleted"]},
    }
    ready(first)
    try:
        api.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        store.close()


if __name__ == "__main__":
    main()
