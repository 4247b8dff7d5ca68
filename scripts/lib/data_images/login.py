"""Find credentials for a container registry in the places where container tools store them."""

import base64
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.auth
import docker.credentials
import docker.credentials.errors
import docker.errors

from scripts.lib.errors import SettingsError
from scripts.lib.files import home, read_text
from scripts.lib.network_access.certificates import check_certificates
from scripts.lib.network_access.token import VARIABLE, redact
from scripts.lib.text import json_text

USERNAME_VARIABLE, PASSWORD_VARIABLE = "TATOR_REGISTRY_USERNAME", "TATOR_REGISTRY_PASSWORD"
HELPER_SECONDS = 60
LONGEST_OUTPUT = 2000
LARGEST_FILE = 2**24
_SECRETS = {VARIABLE, USERNAME_VARIABLE, PASSWORD_VARIABLE}
CERTIFICATES = Path("/etc/docker/certs.d")

_log = logging.getLogger(__name__)

REMEDY = (
    f"log in with `docker login`, name a Docker configuration or a mounted pull secret in REGISTRY_AUTH_FILE, or set "
    f"{USERNAME_VARIABLE} and {PASSWORD_VARIABLE}"
)


def credentials(host: str) -> tuple[str, str] | None:
    """Return user and password for a registry; None if none are configured.

    The first place that has the host is used: the environment's variables; the file in REGISTRY_AUTH_FILE;
    `config.json`, or `.dockerconfigjson` as Kubernetes mounts a pull secret, in the folder DOCKER_CONFIG;
    `~/.docker/config.json`. Credential helpers that a file names are used.

    Raises:
        SettingsError: a file or a helper cannot be used. The message contains no secret.
    """
    name, password = os.environ.get(USERNAME_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
    if name and password:
        return name, password
    for path in _files():
        found = _look_up(path, host)
        if found:
            return found
    return None


def certificate(host: str, configured: Path | None, setting: str) -> str | bool:
    """Return the file with the certificates to trust: the configured one, or Docker's for this host; else True.

    True stands for the system's certificates.

    Args:
        host: the registry's host.
        configured: the file that the user named.
        setting: the setting with this file, for a message.

    Raises:
        SettingsError: the configured file does not exist, or has no certificates.
    """
    if configured is not None:
        check_certificates(configured, setting)
        return str(configured)
    of_host = CERTIFICATES / host / "ca.crt"
    return str(of_host) if of_host.is_file() else True


def _files() -> Iterator[Path]:
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        if not Path(named).is_file():
            raise SettingsError(f"REGISTRY_AUTH_FILE: {named} is not a file; expected a Docker configuration in JSON")
        yield Path(named)
    folder = os.environ.get("DOCKER_CONFIG")
    folders = [Path(folder)] if folder else []
    paths = [one / name for one in folders for name in ("config.json", ".dockerconfigjson")]
    user = home()
    for path in [*paths, user / ".docker" / "config.json"] if user else paths:
        if path.is_file():
            yield path


def _look_up(path: Path, host: str) -> tuple[str, str] | None:
    try:
        content = json_text.parse(read_text(path, LARGEST_FILE))
        if not isinstance(content, dict):
            raise TypeError
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{path}: cannot be read as a Docker configuration in JSON; correct it") from error
    try:
        found: dict[str, Any] | None = Credentials.load_config(None, _completed(content)).resolve_authconfig(host)
    except (docker.errors.DockerException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsError(
            f"{path}: has no usable credentials for {host} ({type(error).__name__}); {REMEDY}"
        ) from error
    lowered = {key.casefold(): value for key, value in (found or {}).items()}
    if lowered.get("identitytoken"):
        raise SettingsError(f"{path}: has an identity token for {host}, which is not supported; {REMEDY}")
    if lowered.get("username") and lowered.get("password"):
        return str(lowered["username"]), str(lowered["password"])
    return None


class Credentials(docker.auth.AuthConfig):
    """Docker's credentials, with the credential helpers below."""

    def _get_store_instance(self, name: str) -> "_CredentialHelper":
        return _CredentialHelper(name)


class _CredentialHelper(docker.credentials.Store):
    """A credential helper; it gets none of the run's secrets, and its output is cleaned and shortened for logs."""

    def _execute(self, subcmd: str, data_input: bytes | None) -> bytes:
        if self.exe is None:
            raise docker.credentials.errors.StoreError(f"{self.program} is not in PATH")
        environ = {name: value for name, value in os.environ.items() if name not in _SECRETS}
        try:
            ended = subprocess.run(
                [self.exe, subcmd],
                check=False,
                input=data_input or b"",
                capture_output=True,
                env=environ,
                timeout=HELPER_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise docker.credentials.errors.StoreError(f"{self.program} cannot be run") from error
        output = redact(ended.stderr.decode(errors="replace")[:LONGEST_OUTPUT]).strip()
        if output:
            _log.info("%s: %s", self.program, " ".join(output.split()))
        if ended.returncode:
            failure = subprocess.CalledProcessError(ended.returncode, self.program, ended.stdout[:LONGEST_OUTPUT])
            raise docker.credentials.errors.process_store_error(failure, self.program)
        return ended.stdout


def _completed(content: dict[str, Any]) -> dict[str, Any]:
    """Add `auth` if a pull secret has only a user name and a password, which Kubernetes accepts too."""
    auths = content.get("auths")
    for entry in auths.values() if isinstance(auths, dict) else ():
        if not isinstance(entry, dict) or entry.get("auth"):
            continue
        entry.pop("auth", None)  # an empty one makes the whole file unusable
        if entry.get("username") and entry.get("password"):
            entry["auth"] = base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()
    return {"auths": {}, **content}
