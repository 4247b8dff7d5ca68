"""Create the official client, and cache the server's schema, so that it is parsed once in a run and not in each job.

The official client keeps the schema in memory and requests it with its ETag, so that the server answers 304 if the
schema has not changed; parsing it (1 MB of YAML) takes seconds. Each job is a separate process: this module passes the
parsed schema between them as JSON. If the server has no ETag or is another one, or the file cannot be used, the schema
is loaded as usual. A schema without an operation of `OPERATIONS` was cut short and is never kept.
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
import tator
import yaml
from tator import ModelFactory, __version__
from tator.openapi import client

from scripts.lib.errors import PipelineError, ServerError
from scripts.lib.files import replacing
from scripts.lib.network_access.sessions import TokenAuth
from scripts.lib.server.faults import Transient
from scripts.lib.server.outages import Outage
from scripts.lib.server.sessions import store_session, tator_session

# In the run's folder; if jobs share no folder, each parses the schema.
KEPT = Path("resources/tator_schema.json")
# The largest file that is read; Tator's schema has 1 MB as YAML.
LARGEST_BYTES = 2**26

_PARTS = ("etag", "schema", "endpoints")
# The operations that jobs call. An answer without a length that ends early is still YAML, but lacks some of them.
OPERATIONS = frozenset(
    {
        *("create_localization_list", "create_state_list", "create_version"),
        *("delete_localization_list", "delete_state_list"),
        *("get_download_info", "get_localization_count", "get_localization_list", "get_localization_list_by_id"),
        *("get_localization_type_list", "get_media", "get_media_count", "get_media_list", "get_media_list_by_id"),
        *("get_media_type_list", "get_section_list", "get_state_count", "get_state_list", "get_state_list_by_id"),
        *("get_state_type_list", "get_version_list", "update_media_list", "update_version"),
    }
)

_log = logging.getLogger(__name__)


def connect(host: str, token: str) -> Any:
    """Create the client, which requests the server's schema and parses it unless it is cached.

    Args:
        host: the server's address.
        token: the API token.

    Raises:
        Transient: the schema was cut short, or a site that has answered before sends something else.
        ServerError: the address is not a Tator site's.
    """
    try:
        with store_session(host) as session, _cached_schema(host, session):
            api = tator.get_api(host, token)
    except (yaml.YAMLError, AttributeError, TypeError):
        message = f"connect: {host}/schema is not an OpenAPI document"
        if Outage(host, "connect").never_answered():
            raise ServerError(f"{message}; is tator.host a Tator site?") from None
        raise Transient(message, of_server=True) from None
    api.session = tator_session(host, TokenAuth(host, token))
    return api


@contextmanager
def _cached_schema(host: str, session: requests.Session) -> Iterator[None]:
    """Make the client that is created in the block use the session, and parse the schema only if it is new.

    Args:
        host: the server's address.
        session: a session with time-outs, which the client's request for the schema does not have.
    """
    url = f"{host}/schema"  # the key of the client's cache
    known = client._schema_cache.get(url) or _read(url)
    if known:
        client._schema_cache[url] = known
    # `requests` is replaced only in the client's module, and only in this block.
    original, client.requests = client.requests, SimpleNamespace(**{**vars(requests), "get": session.get})
    try:
        yield
    finally:
        client.requests = original
    loaded = client._schema_cache[url]
    if missing := OPERATIONS - loaded["endpoints"].keys():
        del client._schema_cache[url]
        raise Transient(
            f"connect: {url} was cut short, or is of a Tator older than 1.0: it lacks {min(missing)}", of_server=True
        )
    if loaded is not known and loaded["etag"] and KEPT.parent.is_dir():
        _keep(url, loaded)


def _read(url: str) -> dict[str, Any] | None:
    """Return the cached schema for the client; None if there is no valid file of this user."""
    try:
        descriptor = os.open(KEPT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            kept = json.load(stream) if _is_trusted(os.fstat(descriptor)) else {}
        if (kept.get("url"), kept.get("client")) != (url, __version__) or not _stays_at_host(kept["endpoints"]):
            return None
        if not kept["endpoints"].keys() >= OPERATIONS:
            return None
        return {**{name: kept[name] for name in _PARTS}, "factory": ModelFactory(kept["schema"])}
    except (OSError, ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return None


def _is_trusted(state: os.stat_result) -> bool:
    """Return whether only this user can write the file, which determines requests with this user's token."""
    trusted = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & stat.S_IWOTH
    return trusted and state.st_size <= LARGEST_BYTES


def _stays_at_host(endpoints: dict[str, Any]) -> bool:
    """Return whether each path is a path after `https://HOST`, so that the token is sent to no other host."""
    return all(endpoint["path"].startswith("/") for endpoint in endpoints.values())


def _keep(url: str, loaded: dict[str, Any]) -> None:
    kept = {"url": url, "client": __version__, **{name: loaded[name] for name in _PARTS}}
    try:
        with replacing(KEPT) as stream:
            json.dump(kept, stream, default=str)  # the YAML has dates in its examples
    except (OSError, PipelineError) as fault:  # another job writes the file too, or the folder is read-only
        _log.info("the server's schema is not cached for the next job: %s", fault)
