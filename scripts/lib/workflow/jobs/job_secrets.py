"""Remove unused secrets from jobs, each of which starts with the environment of the whole run."""

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scripts.lib.network_access import proxies
from scripts.lib.network_access.token import VARIABLE

_TOKEN = frozenset({VARIABLE})
REGISTRY = frozenset({"TATOR_REGISTRY_USERNAME", "TATOR_REGISTRY_PASSWORD", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"})
# The secrets that the jobs of each rule use; rules that are not listed use none. The names of the rules of shared jobs
# end with a media's number, which is left out here.
USED = {
    "get_network": REGISTRY,
    "resolve_media": _TOKEN,
    "resolve_many": _TOKEN,
    "download_media": _TOKEN,
    "detect_many": _TOKEN,  # for its downloads; detect has no token, as other jobs download its media
    "get_truth": _TOKEN,
    "get_true_tracks": _TOKEN,
    "get_attributes": _TOKEN,
    "picture_errors": _TOKEN,
    "crop_tracks": _TOKEN,
    "match_media": _TOKEN,
    "prepare_upload": _TOKEN,
    "upload_detections": _TOKEN,
    "upload_many": _TOKEN,
    "upload_tracks": _TOKEN,
    "upload_tracks_many": _TOKEN,
    "write_counts": _TOKEN,
    "mark_processed": _TOKEN,
}
# Other secrets that may be set in the user's shell; no job uses any of them.
_SECRET = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|PRIVATE|_KEY$|_AUTH$|^SSH_AUTH_SOCK$|^KUBECONFIG$")


def is_secret(name: str) -> bool:
    """Return whether a variable contains a secret, or names a file with one."""
    return name == VARIABLE or name in REGISTRY or proxies.has_address(name) or bool(_SECRET.search(name.upper()))


def without_unused(rule: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the secrets that a rule's jobs do not use."""
    used = USED.get(re.sub(r"_many_\d+$", "_many", rule), frozenset())

    def is_used(name: str) -> bool:
        # The jobs with a token or a login are those that use the network.
        return name in used or (bool(used) and proxies.has_address(name))

    return {name: value for name, value in environ.items() if is_used(name) or not is_secret(name)}


def drop(rule: str, prefix: Sequence[str] = ()) -> None:
    """Remove the secrets that a rule's jobs do not use from this process.

    /proc/PID/environ shows the environment that a process was started with, so the secrets are overwritten there
    too. If the system does not allow that, the process is restarted without them.

    Args:
        rule: the rule's name.
        prefix: a command to start this process under; if given, the process is always restarted.
    """
    environ = without_unused(rule, os.environ)
    unused = os.environ.keys() - environ.keys()
    if prefix or (unused and not _overwrite(unused)):
        command = [*prefix, sys.executable, *sys.orig_argv[1:]]
        os.execve(command[0], command, environ)  # noqa: S606 - there is no shell


def _overwrite(names: Collection[str]) -> bool:
    """Remove variables, also from the memory that /proc/PID/environ shows; return whether that was possible."""
    prefixes = tuple(f"{name}=".encode() for name in names)
    try:
        # See proc_pid_stat(5): the 50th and the 51st field are the addresses at which the environment begins and ends.
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[47]), int(fields[48])
        for name in names:
            del os.environ[name]
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            address = start
            for entry in memory.read(end - start).split(b"\0"):
                if entry.startswith(prefixes):
                    memory.seek(address)
                    memory.write(bytes(len(entry)))
                address += len(entry) + 1
        visible = Path("/proc/self/environ").read_bytes().split(b"\0")
    except (OSError, ValueError, LookupError, OverflowError):
        return False
    return not any(entry.startswith(prefixes) for entry in visible)
