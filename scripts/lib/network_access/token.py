"""Check the API token, and remove it and signed addresses from texts."""

import logging
import os
import re
from collections.abc import Mapping

from scripts.lib.errors import SettingsError
from scripts.lib.text.display_text import without_commands

VARIABLE = "TATOR_AUTH_TOKEN"

# The query part of a presigned address is secret.
_QUERY = re.compile(r"(?<=[^\s?'\"<>])\?[^\s'\"<>)]*")
# A file's name in an address may contain characters that end an address in a text, such as a bracket; so secret parts
# are also found by their names.
_SIGNED = re.compile(
    r"(?i)\b(x-(?:amz|goog)-[a-z-]{1,40}|signature|sig|policy|key-pair-id|awsaccesskeyid|googleaccessid)"
    r"(=|%(?:25){0,3}3d)"  # escaped, perhaps more than once
    r"[^&\s'\"<>]+"
)
# An address, of a proxy for example, may contain a user's name and password, before the last `@`; without `http://` it
# looks like an image with a tag and a digest.
_USER = re.compile(
    r"(?<=://)[^\s/'\"<>]{1,1000}@|(?<![^\s'\"<>(=])[^\s/'\"<>:@]{1,200}:[^\s/'\"<>]{1,1000}@(?!sha(?:256|512):)(?=[\w\[])"
)
_AUTHORIZATION = re.compile(r"(?i)\b(token|bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")


def check_token(environ: Mapping[str, str]) -> str:
    """Return the token.

    Raises:
        SettingsError: TATOR_AUTH_TOKEN is not set, empty, or contains blanks.
    """
    token = environ.get(VARIABLE, "")
    if not token or not _is_sendable(token):
        state = "holds blanks, line breaks or characters that no token has" if token else "is not set"
        raise SettingsError(
            f"the environment variable {VARIABLE} {state}; expected the API token of a Tator user with the right "
            f"Can Edit in the project (API Token in the main menu of the Tator site): export {VARIABLE}=..."
        )
    return token


def _is_sendable(token: str) -> bool:
    """Return whether an HTTP header can contain the token: printable ASCII without blanks."""
    return token.isascii() and token.isprintable() and " " not in token


def redact(text: str) -> str:
    """Replace the token, authorization values, control characters, and users and query parts in addresses."""
    token = os.environ.get(VARIABLE)
    if token:
        text = text.replace(token, "<token>")
    text = _SIGNED.sub(r"\1\2<removed>", _QUERY.sub(_without_query, text))
    text = _AUTHORIZATION.sub(r"\1 <secret>", _USER.sub("<removed>@", text))
    return without_commands(text)


def _without_query(found: re.Match[str]) -> str:
    return "?<removed>" if "=" in found[0] else found[0]


class Redacting(logging.Formatter):
    """Formats log records without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record with its traceback, and redact the text."""
        return redact(super().format(record))
