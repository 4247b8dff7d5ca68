"""Restart a job in a sandbox, in which it can write only to its own folders, and has no network and no other processes.

bubblewrap makes the sandbox from Linux namespaces. If the system does not allow that, the job logs it.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.errors import PipelineError
from scripts.lib.files import home
from scripts.lib.workflow.jobs import environments

_log = logging.getLogger(__name__)

# Set inside a sandbox, so that the job does not start another one.
VARIABLE = "TATOR_SANDBOX"
PROGRAM = "bwrap"
PROBE_SECONDS = 60
# These folders contain sockets, which a read-only mount does not close.
_SOCKETS = ("/tmp", "/var/tmp", "/run", "/var/run")  # noqa: S108 - hidden, not used


@dataclass(frozen=True)
class Sandbox:
    """How to start a job in a sandbox, or why that is not possible.

    Attributes:
        prefix: the command to put before the job's command; empty inside a sandbox, or without one.
        missing: why there is no sandbox; None if there is one.
    """

    prefix: tuple[str, ...]
    missing: str | None


def plan(mode: str, readable: Iterable[Path], writable: Iterable[Path], environ: Mapping[str, str]) -> Sandbox:
    """Return how to start this process again in a sandbox.

    Args:
        mode: network.sandbox: `auto`, `require` or `off`.
        readable: files that the job reads.
        writable: existing folders and files that the job writes.
        environ: the environment for a first try of the sandbox.
    """
    if mode == "off":
        return Sandbox((), "network.sandbox is off")
    if environ.get(VARIABLE):
        inside = present() != "none"
        return Sandbox((), None if inside else f"{VARIABLE} is set outside of a sandbox; unset it")
    program = shutil.which(PROGRAM)
    if program is None:
        return Sandbox((), f"{PROGRAM} is not installed")
    prefix = tuple(command(program, readable, writable))
    missing = _probe(prefix, environ)
    return Sandbox(() if missing else prefix, missing)


def present() -> str:
    """Return the sandbox of this process, for logs and records: `bubblewrap` or `none`."""
    # bubblewrap is the first process of its own namespace.
    first = Path("/proc/1/comm").read_text().strip() if os.environ.get(VARIABLE) else ""
    return "bubblewrap" if first == PROGRAM else "none"


def check(mode: str, sandbox: Sandbox) -> None:
    """Log whether there is a sandbox.

    Raises:
        PipelineError: there is none, and the settings require one.
    """
    if sandbox.missing is None:
        _log.info("sandbox: bubblewrap; no network, no other processes, only the outputs' folders can be written")
        return
    if mode == "require":
        raise PipelineError(
            f"network.sandbox is require, but there is none: {sandbox.missing}; install bubblewrap and allow user "
            "namespaces, or set network.sandbox: auto, and use only networks from makers you trust"
        )
    _log.warning("sandbox: none (%s); this job has all the rights of its user", sandbox.missing)


def command(program: str, readable: Iterable[Path], writable: Iterable[Path]) -> list[str]:
    """Return bubblewrap's command: everything is read-only; homes and sockets are hidden except what the job needs."""
    hidden = _hidden()
    arguments = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    arguments += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for folder in hidden:
        arguments += ["--tmpfs", str(folder)]
    needed = {*_program_files(), *(path.absolute() for path in readable)}
    # A path may contain links that are hidden too: mount the real path, then the path with links. In a folder that is
    # already mounted all paths exist, also links.
    mounts = [(path.resolve(), target) for path in sorted(needed) if path.exists() for target in (path.resolve(), path)]
    mounted: list[Path] = []
    for source, target in sorted(mounts, key=lambda mount: (mount[0] != mount[1], mount[1])):
        inside = any(target.is_relative_to(other) for other in mounted)
        if not inside and any(target != folder and target.is_relative_to(folder) for folder in hidden):
            arguments += ["--ro-bind", str(source), str(target)]
            mounted.append(target)
    for path in writable:
        arguments += ["--bind", str(path.resolve()), str(path.resolve())]
    arguments += ["--setenv", "TMPDIR", "/tmp"]  # noqa: S108 - the sandbox's own
    return [*arguments, "--setenv", VARIABLE, "bubblewrap", "--chdir", str(Path.cwd()), "--"]


def _hidden() -> list[Path]:
    """Return the folders to hide, parents first."""
    candidates = [*map(Path, _SOCKETS), home(), Path(tempfile.gettempdir())]
    folders = {path.resolve() for path in candidates if path is not None}
    return sorted(path for path in folders if path.is_dir() and path != Path("/"))


def _program_files() -> Iterable[Path]:
    """Yield the folders of the workflow, the run and the Python environments."""
    yield environments.ROOT
    yield Path.cwd()
    yield from (Path(entry).absolute() for entry in sys.path if entry)
    yield from (Path(sys.prefix), Path(sys.base_prefix), Path(sys.argv[0]).absolute())
    yield from _links(Path(sys.executable))
    separate = environments.ROOT / environments.FOLDER
    if separate.exists():
        yield separate
        yield from _links(separate / "bin" / "python")


def _links(python: Path) -> Iterator[Path]:
    """Yield each link from an environment's Python to the installed one, and the environment of each."""
    while python.is_symlink():
        python = Path(os.path.normpath(python.parent.resolve() / python.readlink()))
        yield from (python.parents[1], python)


def _probe(prefix: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    """Return why Python does not start in the sandbox; None if it does."""
    try:
        done = subprocess.run(
            [*prefix, sys.executable, "-I", "-c", ""],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{PROGRAM}: {error}"
    message = done.stderr.decode(errors="replace").strip()[-300:]
    return None if done.returncode == 0 else message or f"{PROGRAM} ended with {done.returncode}"
