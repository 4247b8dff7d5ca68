"""Make a data image without a base image: one layer with the network's files; the same input gives the same bytes.

The layer is not compressed: weights hardly shrink, and compressed bytes would differ between versions of zlib.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.data_images.members import FOLDER, LARGEST
from scripts.lib.data_images.oci import digest_of
from scripts.lib.data_images.reference import Reference
from scripts.lib.errors import GraphError

_CREATED = "1970-01-01T00:00:00Z"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class DataImage:
    """An image that `build` made; its layer is in a file."""

    layer: Path
    layer_digest: str
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The image's digest in a registry."""
        return digest_of(self.manifest)

    @property
    def image_id(self) -> str:
        """The image's id in a Docker engine."""
        return digest_of(self.config)


def build(files: Mapping[str, Path], labels: Mapping[str, str], folder: Path) -> DataImage:
    """Make an image with `network/NAME` for each file.

    Args:
        files: the files, by their names in the image.
        labels: the image's labels.
        folder: the folder for the layer.

    Raises:
        GraphError: a file is empty or too large.
    """
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w", format=tarfile.USTAR_FORMAT) as archive:
        parent = tarfile.TarInfo(FOLDER)
        parent.type, parent.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(parent)
        for name, path in sorted(files.items()):
            size = path.stat().st_size
            if not 0 < size <= LARGEST[name]:
                raise GraphError(f"{path}: has {size} bytes; expected 1 to {LARGEST[name]}: give the right file")
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size, member.mode = size, 0o644
            with path.open("rb") as stream:
                archive.addfile(member, stream)
    with layer.open("rb") as stream:
        digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    config = _json(
        {
            # Any platform will do: the image contains no program, and engines accept an image for another platform.
            "architecture": "amd64",
            "os": "linux",
            "created": _CREATED,
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
            "history": [{"created": _CREATED, "created_by": "make_pipeline_image"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": _LAYER, "digest": digest, "size": layer.stat().st_size}],
        }
    )
    return DataImage(layer, digest, config, manifest)


def write_archive(image: DataImage, reference: Reference, path: Path) -> None:
    """Write an OCI layout as tar, with the files that `docker load` reads."""
    entry = {
        "mediaType": _MANIFEST,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {
            "io.containerd.image.name": reference.tagged,
            "org.opencontainers.image.ref.name": reference.tag,
        },
    }
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    docker = [{"Config": _blob(image.image_id), "RepoTags": [reference.tagged], "Layers": [_blob(image.layer_digest)]}]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json(index),
            "manifest.json": _json(docker),
            _blob(image.digest): image.manifest,
            _blob(image.image_id): image.config,
        }.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
        member = tarfile.TarInfo(_blob(image.layer_digest))
        member.size, member.mode = image.layer.stat().st_size, 0o644
        with image.layer.open("rb") as stream:
            archive.addfile(member, stream)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
