"""Read files from an image through a Docker engine, without starting a container, and without leaving one."""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
import urllib3
from docker.models.images import Image as LocalImage

from scripts.lib.data_images.login import Credentials
from scripts.lib.data_images.reference import Image, Reference
from scripts.lib.errors import GraphError, ServerError
from scripts.lib.network_access.sessions import NoCredentials
from scripts.lib.workflow.processes.signals import signals_blocked

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_SECONDS = 15
# Time limit for an answer or a piece of it; the engine may be copying a large image at the same time.
ANSWER_SECONDS = 600
LABEL = "tator-detection.purpose"

_log = logging.getLogger(__name__)


class NoEngine(ServerError):
    """No Docker engine can be reached."""


@contextmanager
def engine(
    otherwise: str = "or get the network from network.directory",
) -> Iterator[docker.DockerClient]:
    """Connect to the engine that DOCKER_HOST names, or to the local one.

    Args:
        otherwise: the end of the error's message: what to do without an engine.

    Raises:
        NoEngine: there is no engine, or it refuses the connection.
    """
    address = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    try:
        _check_socket(address)
        client = docker.from_env(timeout=CONNECT_SECONDS)
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        raise NoEngine(
            f"no Docker engine can be reached at {address} ({_cause(error)}); start one, set DOCKER_HOST, "
            f"let this user use its socket, {otherwise}"
        ) from error
    try:
        client.api.timeout = ANSWER_SECONDS
        client.api.auth = NoCredentials()  # an engine over TCP has none in ~/.netrc
        # Helpers get none of the run's secrets.
        client.api._auth_configs = Credentials(client.api._auth_configs)  # type: ignore[attr-defined]
        yield client
    finally:
        client.close()


def _check_socket(address: str) -> None:
    """Try a connection to a local socket, as the package would hide the system's error and leave its socket open."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(CONNECT_SECONDS)
            one.connect(address.removeprefix("unix://"))


def image(client: docker.DockerClient, reference: Reference) -> Image:
    """Find the image in the engine, or pull it.

    A pinned image that the engine has is used. So is one that was made on this machine and never pushed, as it is in no
    registry. Any other tag may have moved and is pulled; the engine fetches only new layers, and retries on its own.

    Raises:
        ServerError: the engine or the registry fails.
        GraphError: the image does not have the expected digest.
    """
    with _translated(reference):
        existing = _existing(client, reference)
        if existing:
            return existing
        digest = _pull(client, reference)
        if reference.digest and digest != reference.digest:
            raise GraphError(
                f"{reference}: the engine pulled {digest}; expected the digest that the settings pin: "
                "check network.digest"
            )
        return _local(client, reference.at(digest), digest) or Image(digest, "")


def current_digest(client: docker.DockerClient, reference: Reference) -> str:
    """Return the tag's current digest, or the id of an image that was made on this machine, without pulling.

    Raises:
        ServerError: the engine or the registry does not answer.
    """
    with _translated(reference):
        existing = _existing(client, reference)
        if existing:
            return existing.digest or existing.image_id
        try:
            return str(client.images.get_registry_data(reference.tagged).id)
        except docker.errors.APIError as error:
            raise _refused(client, reference, error) from error


@contextmanager
def archive(client: docker.DockerClient, source: Image, path: str, reference: Reference) -> Iterator[Iterator[bytes]]:
    """Yield a tar archive of an image's folder, in pieces, from a container that is created for it and removed.

    Raises:
        GraphError: the image has no such folder.
        ServerError: the engine fails.
    """
    name = f"get-network-{uuid.uuid4().hex}"
    try:
        with _translated(reference), _closing_answers(client):
            with signals_blocked():
                # The container is never started, but the engine requires a command if the image has none.
                container = client.containers.create(
                    source.image_id, command=["none"], name=name, network_disabled=True, labels={LABEL: "get_network"}
                )
            try:
                pieces, _ = container.get_archive(path)
            except docker.errors.NotFound as error:
                raise GraphError(
                    f"{reference}: has no folder {path}; expected the graph and train.ini there: use another image "
                    "in network.data_image, or make it with make_pipeline_image"
                ) from error
            yield pieces
    finally:
        with signals_blocked():
            _remove(client, name)


def load(client: docker.DockerClient, path: Path, reference: Reference, image_id: str) -> None:
    """Load an image from a file; log its id if the engine gives it another one."""
    with _translated(reference), path.open("rb") as stream:
        client.images.load(stream)
        found = _local(client, reference.tagged, None)
    if found is not None and found.image_id != image_id:
        _log.info("%s: the engine calls it %s", reference, found.image_id)


def push(client: docker.DockerClient, reference: Reference) -> str:
    """Push an image; return its digest in the registry."""
    digest = ""
    with _translated(reference):
        try:
            for event in client.api.push(reference.repository, tag=reference.tag, stream=True, decode=True):
                _status(event)
                digest = str((event.get("aux") or {}).get("Digest") or digest)
        except docker.errors.APIError as error:
            raise ServerError(
                f"{reference}: the Docker engine cannot push it ({_cause(error)}); check the name and that the "
                "registry can be reached, and log in with `docker login` as a user who may write there"
            ) from error
    if not digest:
        raise ServerError(f"{reference}: the Docker engine pushed it and gave no digest; update the engine")
    return digest


def _existing(client: docker.DockerClient, reference: Reference) -> Image | None:
    """Return an image that the engine has and that need not be pulled; None if there is none."""
    if reference.digest:
        found = _local(client, reference.at(reference.digest), reference.digest)
        if found is None:  # an image that was never pushed has only its id
            found = _local(client, reference.tagged, None)
            found = found if found is not None and found.image_id == reference.digest else None
        return found
    with suppress(docker.errors.ImageNotFound):
        local = client.images.get(reference.tagged)
        if local.id and not _digests(local, reference):
            _log.warning("%s was made on this machine and never pushed: no registry is asked for it", reference)
            return Image(None, local.id, local.labels)
    return None


def _local(client: docker.DockerClient, name: str, digest: str | None) -> Image | None:
    try:
        found = client.images.get(name)
    except docker.errors.ImageNotFound:
        return None
    return Image(digest, found.id or "", found.labels)


def _pull(client: docker.DockerClient, reference: Reference) -> str:
    """Pull the image and return its digest; `images.pull` would miss an error after the first answer."""
    wanted = reference.digest or reference.tag
    try:
        digest = ""
        for event in client.api.pull(reference.repository, tag=wanted, stream=True, decode=True):
            status = _status(event)
            if "id" not in event:
                _log.info("%s", status)
            if status.startswith("Digest: "):
                digest = status.removeprefix("Digest: ").strip()
    except docker.errors.APIError as error:
        raise _refused(client, reference, error) from error
    if not digest:
        raise ServerError(f"{reference}: the Docker engine pulled it and gave no digest; update the engine")
    return digest


def _status(event: dict[str, Any]) -> str:
    if "error" in event:
        raise docker.errors.APIError(str(event["error"]))
    return str(event.get("status", ""))


def _refused(client: docker.DockerClient, reference: Reference, error: docker.errors.APIError) -> ServerError:
    message = _cause(error)
    lower = message.casefold()
    if any(word in lower for word in ("unauthorized", "denied", "authentication required", "no basic auth")):
        remedy = "check the name, and log in with `docker login` as a user who may read it"
    elif "manifest" in lower or "not found" in lower:
        remedy = "check the name and the tag" + (_moved(client, reference) if reference.digest else "")
    else:
        remedy = "check that the registry can be reached"
    local = None if reference.digest else _local_digest(client, reference)
    if local:
        remedy += f"; or use the copy on this machine with network.digest: {local}"
    return ServerError(f"{reference}: the Docker engine cannot pull it ({message}); {remedy}")


def _moved(client: docker.DockerClient, reference: Reference) -> str:
    with suppress(docker.errors.APIError):
        now = client.images.get_registry_data(reference.tagged).id
        return f"; the registry no longer has the digest pinned, tag {reference.tag} is {now}"
    return ""


def _local_digest(client: docker.DockerClient, reference: Reference) -> str | None:
    with suppress(docker.errors.ImageNotFound):
        return next(iter(_digests(client.images.get(reference.tagged), reference)), None)
    return None


def _digests(local: LocalImage, reference: Reference) -> list[str]:
    """Return the digests of a local image in the reference's repository; the image may be in others too."""
    known = [str(digest).partition("@") for digest in local.attrs.get("RepoDigests") or ()]
    return [digest for repository, _, digest in known if Reference.parse(repository).full_name == reference.full_name]


@contextmanager
def _closing_answers(client: docker.DockerClient) -> Iterator[None]:
    """Close all answers at the end, as an engine does not remove a container while its archive is being read."""
    answers: list[requests.Response] = []
    client.api.hooks["response"] = [lambda answer, **_: answers.append(answer)]
    try:
        yield
    finally:
        client.api.hooks["response"] = []
        for answer in answers:
            answer.close()


def _remove(client: docker.DockerClient, name: str) -> None:
    """Remove a container by its name; it may exist even if the engine's answer was lost."""
    try:
        client.api.remove_container(name, v=True, force=True)
    except docker.errors.NotFound:
        return
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ServerError(
            f"container {name} could not be removed ({_cause(error)}); remove it: docker rm --force {name}"
        ) from error


@contextmanager
def _translated(reference: Reference) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise ServerError(
            f"{reference}: the Docker engine failed ({_cause(error)}); check the engine and try again"
        ) from error


def _cause(error: BaseException) -> str:
    """Return the message of the engine or the system, in one line."""
    explanation = error.explanation if isinstance(error, docker.errors.APIError) else None
    return " ".join(str(explanation or error).split())
