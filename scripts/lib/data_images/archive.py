"""Read images in a file: an OCI layout or the output of `docker save`, as tar, also compressed with gzip or zstd.

Nothing is extracted: blobs are read in place, with an index of the archive's members.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.data_images import labels, oci
from scripts.lib.data_images.members import LARGEST_ARCHIVE, Reader, walk
from scripts.lib.data_images.oci import LARGEST_MANIFEST, PIECE, Descriptor, Layer
from scripts.lib.data_images.reference import Image, Reference
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.text import json_text

MOST_LINKS = 8
MOST_MEMBERS = 1_000_000
# The full name, which Docker and containerd write; and a name or only its tag, which all builders write.
_FULL_NAME, _NAME_OR_TAG = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class _Member:
    """A member of the archive: the position and number of its bytes, or the name that it links to."""

    start: int
    size: int
    link: str | None = None


@dataclass(frozen=True)
class _Entry:
    """One entry of an archive's list of images; an image with two names may have two.

    Attributes:
        names: its names, as in the archive.
        may_be_tag: whether a name may be only a tag.
        digest: what identifies the image.
        platform: its platform, if the list has it.
        content: the entry itself.
    """

    names: tuple[str, ...]
    may_be_tag: bool
    digest: str
    platform: Mapping[str, Any]
    content: Any

    def is_named(self, reference: Reference) -> bool:
        """Return whether one of its names is the requested one; `cod:1` is also `docker.io/library/cod:1`."""
        return any(_same_name(name, reference) for name in self.names)

    def ends_with(self, reference: Reference) -> bool:
        """Return whether one of its names is the requested one after a registry or folders, such as `localhost/`."""
        return any(name.endswith(f"/{reference.tagged}") for name in self.names)

    def has_only_tag(self, reference: Reference) -> bool:
        """Return whether its only name is the requested tag."""
        return self.may_be_tag and self.names == (reference.tag,)

    def is_pinned(self, reference: Reference) -> bool:
        """Return whether it is the image with the requested digest."""
        return reference.digest is not None and reference.digest.removeprefix("sha256:") in self.digest


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

    def stored(self, manifests: Sequence[Descriptor]) -> Sequence[Descriptor]:
        """Return the manifests whose blobs are in the archive; all if none is complete.

        Docker lists all platforms of an image, and saves only those that it has.
        """
        return [one for one in manifests if self._is_stored(one.digest)] or manifests

    def _is_stored(self, digest: str) -> bool:
        if self._blob_name(digest) not in self._members:
            return False
        content = self._json(self._blob_name(digest))
        if not isinstance(content, dict) or not isinstance(content.get("layers"), list):
            return True  # damaged, or of another kind, which is reported when it is used
        blobs = [Descriptor.read(entry, self._source) for entry in [content.get("config"), *content["layers"]]]
        return all(self._blob_name(blob.digest) in self._members for blob in blobs)

    def _from_layout(self, reference: Reference | None) -> tuple[Image, list[Layer]]:
        index = self._json("index.json")
        entries = index.get("manifests") if isinstance(index, dict) else None
        if not isinstance(entries, list) or not entries:
            raise GraphError(f"{self._source}: index.json names no image; write the archive again")
        found = self._candidates([_layout_entry(entry, self._source) for entry in entries], reference)
        if len({entry.digest for entry in found}) > 1:
            if not all(entry.platform and entry.names == found[0].names for entry in found):
                raise self._several(found)
            choice = [Descriptor.read(entry.content, self._source) for entry in found]
            return oci.resolve(self, oci.choose(self.stored(choice), self._source).digest, self._source)
        return oci.resolve(self, found[0].digest, self._source)

    def _from_docker(self, reference: Reference | None) -> tuple[Image, list[Layer]]:
        images = self._json("manifest.json")
        try:
            entries = [
                _Entry(tuple(map(str, one["RepoTags"] or ())), False, str(one["Config"]), {}, one) for one in images
            ]
            found = self._candidates(entries, reference)
            if len({entry.digest for entry in found}) != 1:
                raise self._several(found)
            image = found[0].content
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

    def _candidates(self, entries: list[_Entry], reference: Reference | None) -> list[_Entry]:
        """Return the entries that a name selects: by the whole name if one has it; all if no entry has a name.

        Raises:
            SettingsError: the entries have other names.
        """
        if reference is None or not any(entry.names for entry in entries):
            return entries
        for is_meant in (_Entry.is_named, _Entry.ends_with, _Entry.has_only_tag, _Entry.is_pinned):
            if found := [entry for entry in entries if is_meant(entry, reference)]:
                return found
        raise SettingsError(
            f"network.archive: {self._source} holds {_listed(entries)}; expected {reference}: "
            "correct network.data_image"
        )

    def _several(self, entries: list[_Entry]) -> SettingsError:
        return SettingsError(
            f"network.archive: {self._source} holds {len({entry.digest for entry in entries})} images: "
            f"{_listed(entries)}; expected one: name it in network.data_image"
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


def _layout_entry(entry: Any, source: str) -> _Entry:
    read = Descriptor.read(entry, source)
    annotations = entry.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    has_full_name = _FULL_NAME in annotations
    name = annotations.get(_FULL_NAME if has_full_name else _NAME_OR_TAG)
    return _Entry(() if name is None else (str(name),), not has_full_name, read.digest, read.platform, entry)


def _same_name(name: str, reference: Reference) -> bool:
    try:
        found = Reference.parse(name)
    except SettingsError:
        return False
    if found.full_name != reference.full_name:
        return False
    return found.tag == reference.tag if found.digest is None else found.digest == reference.digest


def _listed(entries: list[_Entry]) -> str:
    return ", ".join(sorted({name for entry in entries for name in entry.names})) or "images without names"


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
