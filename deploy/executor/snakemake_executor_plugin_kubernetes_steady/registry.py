"""Give the data image's registry login to the jobs that fetch the image, and to no others."""

from collections.abc import Iterable
from typing import Any

from kubernetes import client

# The rules whose jobs speak to the registry.
FETCHING = frozenset({"get_network"})
VOLUME, FOLDER = "registry-login", "/registry-login"


def mount_login(spec: Any, secret: str, rules: Iterable[str]) -> None:
    """Mount a pull secret into a job's pod if one of its rules fetches the data image.

    Args:
        spec: the pod's spec, which is changed.
        secret: the name of a Secret of the type kubernetes.io/dockerconfigjson; without it nobody logs in.
        rules: the names of the job's rules.
    """
    if not FETCHING.intersection(rules):
        return
    source = client.V1SecretVolumeSource(
        secret_name=secret, optional=True, items=[client.V1KeyToPath(key=".dockerconfigjson", path="config.json")]
    )
    container = spec.containers[0]
    spec.volumes.append(client.V1Volume(name=VOLUME, secret=source))
    container.volume_mounts.append(client.V1VolumeMount(name=VOLUME, mount_path=FOLDER, read_only=True))
    container.env = [variable for variable in container.env or [] if variable.name != "DOCKER_CONFIG"]
    container.env.append(client.V1EnvVar(name="DOCKER_CONFIG", value=FOLDER))
