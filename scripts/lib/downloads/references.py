"""Handle references: files that are not in Tator's store, whose path is an address.

Such an address may contain a signature or a password, so it is as secret as a presigned one. Records have its hash.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from scripts.lib.records import StoredFile
from scripts.lib.server.values import is_unicode

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PREFIX = "reference:"


def is_address(path: str) -> bool:
    """Return whether a file's path is an address and not a key in Tator's store."""
    return _SCHEME.match(path) is not None


def recorded_path(path: str) -> str:
    """Return a file's path for a record: a key unchanged, and the hash of an address."""
    return _PREFIX + hashlib.sha256(path.encode()).hexdigest()[:32] if is_address(path) else path


def is_reference(recorded: str) -> bool:
    """Return whether a record's path is the hash of an address."""
    return recorded.startswith(_PREFIX)


def fault_of_address(path: str) -> str | None:
    """Return why an address cannot be used, or None; the text contains only the address's scheme."""
    try:
        parts = urlsplit(path)
        usable, _ = bool(parts.hostname), parts.port
    except ValueError:
        return "its file is a reference to an address that is not valid; correct it in Tator"
    if parts.scheme.lower() not in ("http", "https"):
        return f"its file is a reference with the scheme {parts.scheme!r}; expected http or https"
    return None if usable else "its file is a reference to an address without a host; correct it in Tator"


def presigned_address(media: Mapping[str, Any], recorded: StoredFile) -> str | None:
    """Find the address of the file that a record names.

    Args:
        media: the media, as Tator returns it with `presigned`.
        recorded: the file in the record.

    Returns:
        The address, which is secret; None if the media does not have such a file any more.
    """
    key = recorded.path
    by_role = media.get("media_files")
    files = by_role.get(recorded.role) if isinstance(by_role, Mapping) else None
    for file in files if isinstance(files, list | tuple) else ():
        address = file.get("path") if isinstance(file, Mapping) else None
        if not isinstance(address, str) or not is_unicode(address) or not is_address(address):
            continue
        if recorded_path(address) == key or unquote(_path(address)).endswith(f"/{key}"):
            return address
    return None


def _path(address: str) -> str:
    """Return the path in an address; empty if it is not valid."""
    try:
        return urlsplit(address).path
    except ValueError:
        return ""
