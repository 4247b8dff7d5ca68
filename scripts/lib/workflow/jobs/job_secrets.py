"""Remove unused secrets from jobs, each of which starts with the environment of the whole run."""

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scripts.lib.token import VARIABLE

_TOKEN = frozenset({VARIABLE})
REGISTRY = frozenset({"TATOR_REGISTRY_USERNAME", "TATOR_REGISTRY_PASSWORD", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"})
# The secrets that the jobs of each rule use. Other rules use none. The name of a rule of shared jobs ends with a
# media's number.
USED = {
    "get_network": REGISTRY,
    "resolve_media": _TOKEN,
    "resolve_many": _TOKEN,
    "download_media": _TOKEN,
    "detect_many": _TOKEN,  # it downloads; detect, whose media were downloaded already, has no token
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
    return name == VARIABLE or name in REGISTRY or bool(_SECRET.search(name.upper()))


def kept(rule: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a rule's job keeps."""
    used = USED.get(re.sub(r"_many_\d+$", "_many", rule), frozenset())
    return {name: value for name, value in environ.items() if name in used or not is_secret(name)}


def drop(rule: str, prefix: Sequence[str] = ()) -> None:
    """Remove the secrets that its rule's jobs do not use from this process.

    /proc/PID/environ shows the environment that a process was started with, so they are overwritten there
    too. If the system does not allow that, the process is restarted without them.

    Args:
        rule: the rule's name.
        prefix: a command to start this process under; if given, the process is always restarted.
    """
    environ = kept(rule, os.environ)
    unused = os.environ.keys() - environ.keys()
    if prefix or (unused and not _overwrite(unused)):
        command = [*prefix, sys.executable, *sys.orig_argv[1:]]
        os.execve(command[0], command, environ)  # noqa: S606 - there is no shell


def _overwrite(names: Collection[str]) -> bool:
    """Remove variables, also from the environment that the process was started with; return whether it was possible."""
    prefixes = tuple(f"{name}=".encode() for name in names)
    try:
        # See proc_pid_stat(5): the 50th and the 51st field are where the environment begins and ends.
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[47]), int(fields[48])
        for name in names:
            del os.environ[name]
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            place = start
            for entry in memory.read(end - start).split(b"\0"):
                if entry.startswith(prefixes):
                    memory.seek(place)
                    memory.write(bytes(len(entry)))
                place += len(entry) + 1
        started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    except (OSError, ValueError, LookupError, OverflowError):
        return False
    return not any(entry.startswith(prefixes) for entry in started_with)
