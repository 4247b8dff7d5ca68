"""Detect that a data image's tag now refers to another image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError
from scripts.lib.files import write_json
from scripts.lib.network_access.token import redact
from scripts.lib.records.record_files import missing_key_named, read_content


def current_digest(network: dict[str, Any], memory: Path, warn: Callable[[str], None]) -> str | None:
    """Return the current digest of the data image's tag; None if there is no tag that can move.

    Only the digest is requested from the engine or the registry, and stored. If there is no answer, the user gets a
    warning, and the stored digest is used.

    Args:
        network: the section `network` of the settings.
        memory: the JSON file that stores the digest.
        warn: function that shows a warning to the user.
    """
    if not _can_move(network):
        return None
    last = stored_digest(network, memory)
    try:
        now = _request_digest(network)
    except PipelineError as error:
        warn(f"network.data_image: could not check whether its tag has moved: {redact(str(error))}")
        return last
    if now != last:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"data_image": network["data_image"], "digest": now})
    if last is not None and now != last:
        moved = f"network.data_image: {network['data_image']} was {last} and is now {now}"
        warn(
            f"{redact(moved)}: it is fetched again, and what depends on it is done again; to stay with one image for "
            "good, set network.digest"
        )
    return now


def stored_digest(network: dict[str, Any], memory: Path) -> str | None:
    """Return the tag's digest at the last check; None if it is unknown.

    Raises:
        PipelineError: the file is not JSON.
    """
    if not _can_move(network) or not memory.is_file():
        return None
    stored = read_content(memory)
    with missing_key_named(memory):
        return str(stored["digest"]) if stored["data_image"] == network["data_image"] else None


def _can_move(network: dict[str, Any]) -> bool:
    name = network["data_image"]
    return bool(name) and not network["archive"] and not network["digest"] and "@" not in name


def _request_digest(network: dict[str, Any]) -> str:
    # Imported here, as each start of Snakemake imports this module, and few runs have a tag to check.
    from scripts.lib.data_images import docker_images
    from scripts.lib.data_images.reference import Reference

    reference = Reference.parse(network["data_image"], None)
    if network["fetch"] != "registry":
        try:
            with docker_images.engine() as client:
                return docker_images.current_digest(client, reference)
        except docker_images.NoEngine:
            if network["fetch"] == "docker":
                raise
    from scripts.lib.data_images import oci
    from scripts.lib.data_images.registry import Registry

    ca_file = Path(network["ca_file"]) if network["ca_file"] else None
    with Registry(reference, ca_file=ca_file) as registry:
        return registry.digest(reference.tag) or oci.current_digest(registry, reference.tag, str(reference))
