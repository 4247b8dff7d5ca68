"""Containers: a process in a bubblewrap sandbox with its image, its volumes and the machine's network."""

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_VARIABLE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
# The machine itself as an image: its programs, and no other folder of it.
_MACHINE = "--tmpfs / --ro-bind /usr /usr --ro-bind /etc /etc --symlink usr/bin /bin --symlink usr/sbin /sbin"
_MACHINE += " --symlink usr/lib /lib --symlink usr/lib64 /lib64 --dir /var --symlink ../run /var/run --tmpfs /tmp"


@dataclass(frozen=True)
class Image:
    """An image of containers.

    Attributes:
        folders: read-only folders by their place in the image.
        env: its variables.
        root: the image's whole file system; None for the machine's programs.
        user: the number of its user.
        command: its entry point.
        folder: its working directory.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    root: Path | None = None
    user: int = 0
    command: tuple[str, ...] = ()
    folder: str = "/"


@dataclass(frozen=True)
class Mount:
    """A volume's folder, and its place in the container."""

    source: Path
    target: str
    read_only: bool


class Container:
    """A running container; `wait` returns its exit code, as a kubelet gives it."""

    def __init__(
        self,
        image: Image,
        spec: dict[str, Any],
        *,
        security: dict[str, Any],
        env: dict[str, str],
        mounts: list[Mount],
        log: IO[bytes],
    ) -> None:
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", **image.env, **env}
        command = spec.get("command") or list(image.command)
        command = [expand(word, env) for word in [*command, *(spec.get("args") or [])]]
        user = security.get("runAsUser", image.user)
        read_only = security.get("readOnlyRootFilesystem", False)
        arguments = [*_root(image, read_only), "--proc", "/proc", "--dev", "/dev"]
        # A volume at /tmp must not hide an image's folder below it.
        binds = [Mount(folder, place, True) for place, folder in image.folders.items()] + mounts
        for bind in sorted(binds, key=lambda one: one.target.count("/")):
            arguments += ["--ro-bind" if bind.read_only else "--bind", str(bind.source), bind.target]
        arguments += ["--remount-ro", "/"] if read_only else []
        arguments += ["--unshare-user", "--uid", str(user), "--gid", str(security.get("runAsGroup", user))]
        arguments += ["--unshare-pid", "--unshare-ipc", "--as-pid-1", "--die-with-parent", "--clearenv"]
        for name, value in env.items():
            arguments += ["--setenv", name, value]
        arguments += ["--chdir", spec.get("workingDir") or image.folder]
        # By a file, so that no variable is on a command line.
        options = os.memfd_create("bwrap")
        os.write(options, b"\0".join(word.encode() for word in arguments))
        os.lseek(options, 0, os.SEEK_SET)
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
            ["bwrap", "--info-fd", str(writer), "--args", str(options), "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[writer, options],
            start_new_session=True,
        )
        os.close(options)
        os.close(writer)
        with os.fdopen(reader) as stream:
            text = stream.read()
        self._first = int(json.loads(text)["child-pid"]) if text else None

    def wait(self, seconds: float | None = None) -> int:
        code = self._process.wait(seconds)
        return code if code >= 0 else 128 - code

    def stop(self, grace: float) -> None:
        """Send SIGTERM to the container's first process, and SIGKILL after the grace period."""
        self._signal(signal.SIGTERM)
        try:
            self.wait(grace)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._first is not None and self._process.poll() is None:
            try:
                os.kill(self._first, number)
            except ProcessLookupError:
                return


def _root(image: Image, read_only: bool) -> list[str]:
    if image.root is None:
        options = _MACHINE.split()
        return options[: options.index("/tmp") - 1] if read_only else options
    return ["--bind", str(image.root), "/"]  # made read-only, if requested, after the volumes are mounted


def expand(text: str, env: dict[str, str]) -> str:
    """Replace $(NAME) as Kubernetes does; `$$` is a dollar sign, and unknown names are kept."""
    return _VARIABLE.sub(lambda found: env.get(found[1], found[0]) if found[1] else "$", text)
