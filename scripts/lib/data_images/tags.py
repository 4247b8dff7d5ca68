"""Detect that a data image's tag now refers to another image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json
from scripts.lib.token import redact


def digest_behind_tag(network: dict[str, Any], memory: Path, tell: Callable[[str], None]) -> str | None:
    """Return the current digest of the data image's tag; None if there is no tag that can move.

    Asks the engine or the registry for the digest only, and stores it. If it does not answer, the user gets a warning,
    and the stored digest is used.

    Args:
        network: the configuration's section.
        memory: the JSON file with the stored digest.
        tell: shows a message to the user.
    """
    if not _can_move(network):
        return None
    last = remembered_digest(network, memory)
    try:
        now = _now(network)
    except PipelineError as error:
        tell(f"network.data_image: could not check whether its tag has moved: {redact(str(error))}")
        return last
    if now != last:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, {"data_image": network["data_image"], "digest": now})
    if last is not None and now != last:
        tell(
            f"network.data_image: {network['data_image']} was {last} and is now {now}: it is fetched again, and what "
            "depends on it is done again; to stay with one image for good, name its digest"
        )
    return now


def remembered_digest(network: dict[str, Any], memory: Path) -> str | None:
    """Return the tag's digest at the last check; None if it is unknown."""
    if not _can_move(network) or not memory.is_file():
        return None
    seen = read_json(memory)
    return str(seen["digest"]) if seen["data_image"] == network["data_image"] else None


def _can_move(network: dict[str, Any]) -> bool:
    name = network["data_image"]
    return bool(name) and not network["archive"] and not network["digest"] and "@" not in name


def _now(network: dict[str, Any]) -> str:
    # Imported here, as every start of Snakemake loads this module, and few runs have a tag to check.
    from scripts.lib.data_images import docker_images
    from scripts.lib.data_images.reference import Reference

    reference = Reference.parse(network["data_image"], None)
    if network["fetch"] != "registry":
        try:
            with docker_images.engine() as client:
                return docker_images.current(client, reference)
        except docker_images.NoEngine:
            if network["fetch"] == "docker":
                raise
    from scripts.lib.data_images.oci import digest_of
    from scripts.lib.data_images.registry import Registry

    authority = Path(network["ca_file"]) if network["ca_file"] else None
    with Registry(reference, ca_file=authority) as store:
        return store.digest(reference.tag) or digest_of(store.manifest(reference.tag))
