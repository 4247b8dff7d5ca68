"""Which secrets each job gets: every job is started with the environment of the whole run, and keeps what it uses."""

import os
import re
import sys
from collections.abc import Mapping, Sequence

from scripts.lib.token import VARIABLE

_TOKEN = frozenset({VARIABLE})
REGISTRY = frozenset({"TATOR_REGISTRY_USERNAME", "TATOR_REGISTRY_PASSWORD", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"})
# Script: the secrets that it uses. Scripts that are not here use none.
USED = {
    "get_network": REGISTRY,
    "resolve_media": _TOKEN,
    "download_media": _TOKEN,
    "detect_many": _TOKEN,
    "get_truth": _TOKEN,
    "picture_errors": _TOKEN,
    "prepare_upload": _TOKEN,
    "upload_detections": _TOKEN,
    "upload_many": _TOKEN,
    "mark_processed": _TOKEN,
}
# Other secrets that the user's shell may hold; no job uses any of them.
_SECRET = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|PRIVATE|_KEY$|_AUTH$|^SSH_AUTH_SOCK$|^KUBECONFIG$")


def is_secret(name: str) -> bool:
    """Say whether a variable holds a secret, or says where one is."""
    return name == VARIABLE or name in REGISTRY or bool(_SECRET.search(name.upper()))


def kept(script: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a script's job keeps."""
    used = USED.get(script, frozenset())
    return {name: value for name, value in environ.items() if name in used or not is_secret(name)}


def drop(script: str, prefix: Sequence[str] = ()) -> None:
    """Start this process again without the secrets that its script does not use, if it has any.

    Taking them out of `os.environ` would not do: /proc/PID/environ shows what a process was started with.

    Args:
        script: the script's name.
        prefix: a command to start this process under; with one it is always started again.
    """
    environ = kept(script, os.environ)
    if prefix or environ != dict(os.environ):
        command = [*prefix, sys.executable, *sys.orig_argv[1:]]
        os.execve(command[0], command, environ)  # noqa: S606 - there is no shell
