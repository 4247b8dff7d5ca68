"""The server's schema, parsed once a run rather than once a job, and kept beside the run.

The official client keeps the schema of a process and asks for it with its ETag, so that the server says 304 where it is
the same still; parsing it (1 MB of YAML) is what takes seconds. Each job is a process of its own: this hands on, as
JSON, what one parsed. A server without an ETag, another one, or a file that is not what it should be: the schema is
loaded as ever.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
from tator import ModelFactory, __version__
from tator.openapi import client

from scripts.lib.errors import PipelineError
from scripts.lib.files import replacing

# Below the run's folder; where jobs share none, each parses it for itself.
KEPT = Path("resources/tator_schema.json")
# A real one has 1 MB as YAML.
LARGEST_BYTES = 2**26

_PARTS = ("etag", "schema", "endpoints")

_log = logging.getLogger(__name__)


@contextmanager
def cached_schema(host: str, session: requests.Session) -> Iterator[None]:
    """Let the client that the block makes ask through the session, and parse the schema only if it is a new one.

    Args:
        host: the server's address.
        session: has the time-outs, which the client's own first request lacks.
    """
    url = f"{host}/schema"  # as the client calls it
    known = client._schema_cache.get(url) or _read(url)
    if known:
        client._schema_cache[url] = known
    # Only its name for the module is changed, and only here: everything else goes on as it is.
    theirs, client.requests = client.requests, SimpleNamespace(**{**vars(requests), "get": session.get})
    try:
        yield
    finally:
        client.requests = theirs
    loaded = client._schema_cache[url]
    if loaded is not known and loaded["etag"] and KEPT.parent.is_dir():
        _keep(url, loaded)


def _read(url: str) -> dict[str, Any] | None:
    """Return what the client would know by itself, or None where no good file of this user holds it."""
    try:
        descriptor = os.open(KEPT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            kept = json.load(stream) if _is_ours(os.fstat(descriptor)) else {}
        if (kept.get("url"), kept.get("client")) != (url, __version__) or not _stays_at_host(kept["endpoints"]):
            return None
        return {**{name: kept[name] for name in _PARTS}, "factory": ModelFactory(kept["schema"])}
    except (OSError, ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return None


def _is_ours(state: os.stat_result) -> bool:
    """Whether nobody else wrote the file: it says which requests are made with this user's token."""
    ours = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & stat.S_IWOTH
    return ours and state.st_size <= LARGEST_BYTES


def _stays_at_host(endpoints: dict[str, Any]) -> bool:
    """Whether each path stays one when it is put behind `https://HOST`, so that the token goes nowhere else."""
    return all(endpoint["path"].startswith("/") for endpoint in endpoints.values())


def _keep(url: str, loaded: dict[str, Any]) -> None:
    kept = {"url": url, "client": __version__, **{name: loaded[name] for name in _PARTS}}
    try:
        with replacing(KEPT) as stream:
            json.dump(kept, stream, default=str)  # YAML has dates, in examples
    except (OSError, PipelineError) as fault:  # another job keeps it at this moment, or a folder is read-only
        _log.info("the server's schema is not kept for the next job: %s", fault)
