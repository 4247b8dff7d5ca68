"""Notice that a data image's tag has moved since the network was fetched."""

from pathlib import Path
from typing import Any

from scripts.lib.files import read_json
from scripts.lib.images import docker_images
from scripts.lib.images.reference import Reference


def moved_tag(network: dict[str, Any], provenance: Path) -> str | None:
    """Return a sentence for the user when the image's name stands for another network than the one in use.

    Asks for the digest alone; fetches nothing.

    Args:
        network: the configuration's section.
        provenance: the record of get_network; without it nothing can have moved.

    Raises:
        SettingsError: the name is malformed.
        ServerError: the registry does not answer, or has no such image.
    """
    if not network["data_image"] or network["archive"] or not provenance.is_file():
        return None
    reference = Reference.parse(network["data_image"], network["digest"])
    if reference.digest:
        return None  # a pinned name cannot move
    record = read_json(provenance)
    now = _now(reference, network["fetch"], Path(network["ca_file"]) if network["ca_file"] else None)
    if now in (record["digest"], record["image_id"]):
        return None
    return (
        f"network.data_image: {reference} is now {now}; this run's network is "
        f"{record['digest'] or record['image_id']}. To take the new one, add --forcerun get_network; to stay with "
        "the old one for good, name its digest"
    )


def _now(reference: Reference, fetch: str, ca_file: Path | None) -> str:
    if fetch != "registry":
        try:
            with docker_images.engine() as client:
                return docker_images.current(client, reference)
        except docker_images.NoEngine:
            if fetch == "docker":
                raise
    from scripts.lib.images.oci import digest_of
    from scripts.lib.images.registry import Registry

    with Registry(reference, ca_file=ca_file) as store:
        return store.digest(reference.tag) or digest_of(store.manifest(reference.tag))
