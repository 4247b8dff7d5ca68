"""Read images in a file: an OCI layout or the output of `docker save`, as tar, also compressed with gzip or zstd.

Nothing is extracted: blobs are read in place, with an index of the archive's members.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib import json_text
from scripts.lib.data_images import labels, oci
from scripts.lib.data_images.members import LARGEST_ARCHIVE, Reader, walk
from scripts.lib.data_images.oci import LARGEST_MANIFEST, PIECE, Descriptor, Layer
from scripts.lib.data_images.reference import Image, Reference
from scripts.lib.errors import GraphError, SettingsError

MOST_LINKS = 8
MOST_MEMBERS = 1_000_000
_NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True)
class _Member:
    """A member of the archive: the position and number of its bytes, or the name that it links to."""

    start: int
    size: int
    link: str | None = None


class ImageArchive:
    """An archive of images.

    Raises:
        GraphError: the file is not such an archive, or is damaged.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        """Make an index of the archive; a compressed one is unpacked into `folder`, which the caller removes."""
        self._source = str(path)
        if not path.is_file():
            raise GraphError(
                f"network.archive: {path} is not a file; expected an image from `docker save` or a builder"
            )
        self._path = path
        if _is_packed(path):
            self._path = folder / "archive.tar"
            _unpack(path, self._path)
        self._members: dict[str, _Member] = {}
        reader = Reader(_pieces(self._path, 0, self._path.stat().st_size), self._source)
        for member in walk(reader):
            name = posixpath.normpath(member.name)
            if member.isreg() and not member.issparse():
                self._members[name] = _Member(member.offset_data, member.size)
            elif member.issym():
                target = posixpath.join(posixpath.dirname(name), member.linkname)
                self._members[name] = _Member(0, 0, posixpath.normpath(target))
            elif member.islnk():
                self._members[name] = _Member(0, 0, posixpath.normpath(member.linkname))
            if len(self._members) > MOST_MEMBERS:
                raise GraphError(f"{path}: holds more than {MOST_MEMBERS} members; expected images")

    def resolve(self, reference: Reference | None, digest: str | None = None) -> tuple[Image, list[Layer]]:
        """Return the only image, or the one with this name, and its layers.

        Args:
            reference: the name of the image; None for the only image.
            digest: the expected digest, if there is no reference.

        Raises:
            SettingsError: there are several, and the name does not select one.
            GraphError: the image has another digest.
        """
        if "index.json" in self._members:
            found = self._from_layout(reference)
        elif "manifest.json" in self._members:
            found = self._from_docker(reference)
        else:
            raise GraphError(
                f"{self._source}: has neither index.json nor manifest.json; expected an image: use docker save"
            )
        pinned = reference.digest if reference else digest
        if pinned and pinned not in (found[0].digest, found[0].image_id):
            raise GraphError(
                f"{self._source}: the image has digest {found[0].digest} and id {found[0].image_id}; "
                f"expected {pinned}: use the right archive, or check network.digest"
            )
        return found

    def manifest(self, name: str) -> bytes:
        """Return a manifest by its digest."""
        return self._bytes(self._blob_name(name))

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob in pieces."""
        return self._read(self._blob_name(blob.digest))

    def _from_layout(self, reference: Reference | None) -> tuple[Image, list[Layer]]:
        index = self._json("index.json")
        entries = index.get("manifests") if isinstance(index, dict) else None
        if not isinstance(entries, list) or not entries:
            raise GraphError(f"{self._source}: index.json names no image; write the archive again")
        named = [(_names(entry), Descriptor.read(entry, self._source)) for entry in entries]
        candidates = [one for one in named if reference and _is_named(one[0], reference)] or named
        if len(candidates) > 1 and all(one.platform for _, one in candidates):
            candidates = [((), oci.choose([one for _, one in candidates], self._source))]
        if len(candidates) > 1:
            raise self._several([name for names, _ in named for name in names], len(candidates))
        return oci.resolve(self, candidates[0][1].digest, self._source)

    def _from_docker(self, reference: Reference | None) -> tuple[Image, list[Layer]]:
        images = self._json("manifest.json")
        try:
            named = [(tuple(map(str, one["RepoTags"] or ())), one) for one in images]
            candidates = [one for one in named if reference and _is_named(one[0], reference)] or named
            if len(candidates) != 1:
                raise self._several([name for names, _ in named for name in names], len(candidates))
            [(_, image)] = candidates
            raw = self._bytes(str(image["Config"]))
            diff_ids = json_text.parse(raw)["rootfs"]["diff_ids"]
            layers = [
                Layer(f"layer {name}", lambda name=name: self._read(name), diff_id=str(diff_id))  # type: ignore[misc]
                for name, diff_id in zip(map(str, image["Layers"]), diff_ids, strict=True)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise GraphError(
                f"{self._source}: manifest.json is not as docker save writes it; write the archive again"
            ) from error
        return Image(None, oci.digest_of(raw), labels.of_config(raw)), layers

    def _several(self, names: list[str], count: int) -> SettingsError:
        return SettingsError(
            f"network.archive: {self._source} holds {count} images: {', '.join(sorted(names)) or 'without names'}; "
            "expected one: name it in network.data_image"
        )

    def _blob_name(self, digest: str) -> str:
        return f"blobs/{digest.replace(':', '/')}"

    def _json(self, name: str) -> Any:
        try:
            return json_text.parse(self._bytes(name))
        except ValueError as error:
            raise GraphError(f"{self._source}: {name} is not JSON; write the archive again") from error

    def _bytes(self, name: str) -> bytes:
        member = self._member(name)
        if member.size > LARGEST_MANIFEST:
            raise GraphError(f"{self._source}: {name} has {member.size} bytes; expected at most {LARGEST_MANIFEST}")
        return b"".join(_pieces(self._path, member.start, member.size))

    def _read(self, name: str) -> Iterator[bytes]:
        member = self._member(name)
        return _pieces(self._path, member.start, member.size)

    def _member(self, name: str) -> _Member:
        requested, name = name, posixpath.normpath(name)
        for _ in range(MOST_LINKS):
            member = self._members.get(name)
            if member is None:
                break
            if member.link is None:
                return member
            name = member.link  # docker save writes a layer that two images share only once
        raise GraphError(f"{self._source}: {requested} is missing in it; write the archive again")


def _names(entry: Any) -> tuple[str, ...]:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    named = annotations if isinstance(annotations, dict) else {}
    return tuple(str(named[key]) for key in _NAME_KEYS if key in named)


def _is_named(names: tuple[str, ...], reference: Reference) -> bool:
    """Return whether one of an image's names is the requested one, of which builders may leave out parts."""
    return any(name in (reference.tagged, reference.tag) or name.endswith(f"/{reference.tagged}") for name in names)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return oci.is_packed(stream.read(4))


def _unpack(path: Path, target: Path) -> None:
    size = 0
    with target.open("xb") as stream:
        for piece in oci.unpacked(_pieces(path, 0, path.stat().st_size), str(path)):
            size += len(piece)
            if size > LARGEST_ARCHIVE:
                raise GraphError(f"{path}: is larger than {LARGEST_ARCHIVE} bytes when unpacked; expected a data image")
            stream.write(piece)


def _pieces(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(start)
        while size and (piece := stream.read(min(size, PIECE))):
            size -= len(piece)
            yield piece
