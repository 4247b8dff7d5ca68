"""A real Docker engine and a real registry on loopback, and images made with them. Nothing is pulled from outside.

An engine that runs already is used; otherwise `dockerd` is started with a separate socket and folder, and ended
afterwards. Debian's packages docker.io and docker-registry have the programs. Without them, a test is skipped, but
fails in CI.

    from tests.docker_engine import docker_engine, registry  # the fixtures, in a conftest.py
"""

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests.needs import lacking, require

START_SECONDS = 60

# Options of dockerd in a sandbox: no overlay file system, no rights over the machine's network.
DOCKERD = (
    "--storage-driver=vfs",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
    "--userland-proxy=false",
)


class Unavailable(Exception):
    """There is no engine or registry on this machine, for this reason."""


@dataclass(frozen=True)
class Engine:
    """A Docker engine; `host` is its DOCKER_HOST."""

    host: str
    client: docker.DockerClient


@dataclass(frozen=True)
class Registry:
    """A registry; names of its images are `{address}/NAME:TAG`."""

    address: str
    url: str
    log: Path
    certificate: Path | None = None


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Yield a running engine, or start one."""
    with ExitStack() as stack:
        host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        if not _answers(host):
            host = stack.enter_context(_dockerd())
        client = docker.DockerClient(base_url=host, timeout=60)
        stack.callback(client.close)
        yield Engine(host, client)


@contextmanager
def _dockerd() -> Iterator[str]:
    if os.geteuid() != 0:
        raise Unavailable("no Docker engine is reachable, and dockerd can be started by root only")
    program = shutil.which("dockerd")
    if not program:
        raise Unavailable("no Docker engine is reachable, and dockerd (Debian's docker.io) is not installed")
    # Not pytest's folder: a socket's path may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
    host = f"unix://{folder}/docker.sock"
    command = [
        program,
        *DOCKERD,
        f"--host={host}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--config-file={folder}/daemon.json",
    ]
    (folder / "daemon.json").write_text("{}")
    try:
        with _running(command, folder / "log") as process:
            _wait(process, folder / "log", lambda: _answers(host))
            yield host
    finally:
        # dockerd leaves its folder mounted if it had to be killed.
        subprocess.run(["umount", "--recursive", f"{folder}/data"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(host: str) -> bool:
    """Return whether an engine answers; the docker package would leave its socket open if none does."""
    if not host.startswith("unix://"):
        return True
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(5)
            one.connect(host.removeprefix("unix://"))
            one.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in one.recv(100)
    except OSError:
        return False


# The password of `user` is `secret`; the registry reads bcrypt only.
HTPASSWD = "user:$2y$05$rrHxn8iHMW5RqX98dDMJxumv8loHDN9HHcR1AbohXVzzGcB8l8fXm\n"


@contextmanager
def running_registry(
    *, basic: bool = False, tls: bool | tuple[Path, Path] = False, token: Mapping[str, str] | None = None
) -> Iterator[Registry]:
    """Start a registry on a free port.

    Args:
        basic: whether to require the user `user` with the password `secret`.
        tls: certificate and key for HTTPS; True for new ones for 127.0.0.1.
        token: settings of required bearer tokens: `realm`, `service`, `issuer`, `rootcertbundle`.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    if not program:
        raise Unavailable("docker-registry (Debian's docker-registry) is not installed")
    folder = Path(tempfile.mkdtemp(prefix="registry-"))
    address = f"127.0.0.1:{free_port()}"
    http: dict[str, object] = {"addr": address, "secret": "the same for all"}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
    }
    certificate = None
    if tls:
        certificate, key = tls if isinstance(tls, tuple) else self_signed(folder)
        http["tls"] = {"certificate": str(certificate), "key": str(key)}
    if basic:
        (folder / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if token:
        config["auth"] = {"token": dict(token)}
    (folder / "config.yml").write_text(json.dumps(config))
    registry = Registry(address, f"{'https' if tls else 'http'}://{address}", folder / "log", certificate)
    try:
        with _running([program, "serve", str(folder / "config.yml")], registry.log) as process:
            host, port = address.split(":")
            _wait(process, registry.log, lambda: _listens(host, int(port)))
            yield registry
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
    command += f" -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"{log.parent} did not start: {log.read_text()[-1000:]}")
        time.sleep(0.1)


def tar(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """Return a tar archive of contents and of given members (links, devices), by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def make_image(client: docker.DockerClient, name: str, files: Mapping[str, bytes]) -> str:
    """Make an image of one layer, as `docker import` does; return its id."""
    repository, _, label = name.rpartition(":")
    answer = client.api.import_image_from_data(tar(files), repository=repository, tag=label)
    return str(json.loads(answer)["status"])


def make_reference_image(client: docker.DockerClient, name: str, files: Mapping[str, bytes]) -> str:
    """Make an image as the reference workflow does: a base with other files, and a COPY layer for each file."""
    make_image(client, "reference-base:1", {"etc/os-release": b"ID=base\n", "bin/sh": b"#!\n"})
    lines = ["FROM reference-base:1", *(f"COPY {Path(path).name} /{path}" for path in files)]
    context = {"Dockerfile": "\n".join(lines).encode(), **{Path(path).name: content for path, content in files.items()}}
    image, _ = client.images.build(
        fileobj=io.BytesIO(tar(context)), custom_context=True, tag=name, rm=True, forcerm=True
    )
    return str(image.id)


def push(client: docker.DockerClient, name: str) -> str:
    """Push an image; return its digest in the registry."""
    repository, _, label = name.rpartition(":")
    digest = ""
    for event in client.images.push(repository, label, stream=True, decode=True):
        assert "error" not in event, event
        digest = event.get("aux", {}).get("Digest", digest)
    return digest


def forget(client: docker.DockerClient, *names: str) -> None:
    """Remove images from the engine, so that they have to be pulled."""
    for name in names:
        client.images.remove(name, force=True)


@contextmanager
def _or_skip() -> Iterator[None]:
    require("docker")
    try:
        yield
    except Unavailable as reason:
        lacking(str(reason))


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """Yield a real Docker engine; DOCKER_HOST has to be set to its `host` for the code under test."""
    with ExitStack() as stack:
        with _or_skip():
            engine = stack.enter_context(running_engine())
        yield engine


@contextmanager
def registry_or_skip(
    *, basic: bool = False, tls: bool | tuple[Path, Path] = False, token: Mapping[str, str] | None = None
) -> Iterator[Registry]:
    """Start a registry as `running_registry` does; skip the test if there is none, but fail in CI."""
    with ExitStack() as stack:
        with _or_skip():
            one = stack.enter_context(running_registry(basic=basic, tls=tls, token=token))
        yield one


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """Yield a real registry without TLS and without authentication."""
    with registry_or_skip() as one:
        yield one
