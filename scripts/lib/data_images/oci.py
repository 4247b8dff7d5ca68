"""Read images in registries and archives: manifests, indexes for several platforms, and layers.

All manifests and layers are compared with their digests. Layers are read from the top, and only until lower ones cannot
change the requested files any more.
"""

import gzip
import hashlib
import io
import platform
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scripts.lib.data_images import labels
from scripts.lib.data_images.members import Members
from scripts.lib.data_images.reference import DIGEST, Image
from scripts.lib.errors import GraphError
from scripts.lib.text import json_text

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from typing_extensions import Buffer

PIECE = 2**20
LARGEST_MANIFEST = 2**22
# Files of networks and systems compress to about a tenth; a file that unpacks to much more was made to fill a disk.
LARGEST_RATIO, LEAST_UNPACKED = 200, 2**28
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_GZIP, _ZSTD = b"\x1f\x8b", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)


@dataclass(frozen=True)
class Descriptor:
    """A manifest's entry for a blob or for another manifest."""

    digest: str
    size: int
    platform: Mapping[str, Any]

    @classmethod
    def read(cls, entry: Any, source: str) -> "Descriptor":
        """Check one entry of a manifest."""
        digest, size = (entry.get("digest"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
            raise GraphError(
                f"{source}: its manifest names a blob with digest {digest!r} and size {size!r}; "
                "expected sha256:... and a number: push the image again"
            )
        found = entry.get("platform")
        return cls(digest, size, found if isinstance(found, dict) else {})


@dataclass(frozen=True)
class Layer:
    """A layer to read.

    Attributes:
        name: the layer's name in messages.
        open: function that returns the stored bytes of the layer.
        digest: the expected digest of the stored bytes.
        size: the expected number of the stored bytes.
        diff_id: the expected digest of the tar archive, after decompression.
    """

    name: str
    open: Callable[[], Iterator[bytes]]
    digest: str | None = None
    size: int | None = None
    diff_id: str | None = None


class Store(Protocol):
    """A source of manifests and blobs."""

    def manifest(self, name: str) -> bytes:
        """Return a manifest by its tag or digest."""

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob in pieces."""

    def stored(self, manifests: Sequence[Descriptor]) -> Sequence[Descriptor]:
        """Return the manifests of an index whose blobs can be read."""


def resolve(store: Store, name: str, source: str) -> tuple[Image, list[Layer]]:
    """Return the image that a tag or digest names, and its layers, the lowest first.

    Of an image for several platforms the one for this machine is used, as by a Docker engine; otherwise
    the one for linux/amd64, or the first one, since a data image contains no program.
    """
    digest, content = _manifest(store, name, source)
    if "manifests" in content:
        listed = [Descriptor.read(entry, source) for entry in content["manifests"]]
        chosen = choose(store.stored(listed), source)
        _, content = _manifest(store, chosen.digest, source)
    if "layers" not in content or "config" not in content:
        raise _no_image(content, source)
    blobs = [Descriptor.read(entry, source) for entry in content["layers"]]
    layers = [_layer(store, blob, number, len(blobs)) for number, blob in enumerate(blobs, start=1)]
    config = Descriptor.read(content["config"], source)
    return Image(digest, config.digest, _labels(store, config, source)), layers


def current_digest(store: Store, name: str, source: str) -> str:
    """Return the digest of the image, or of the index of images, that a tag names.

    Raises:
        GraphError: the tag names something else, such as a page of a gateway.
    """
    return _manifest(store, name, source)[0]


def _labels(store: Store, config: Descriptor, source: str) -> dict[str, str]:
    if config.size > LARGEST_MANIFEST:
        return {}
    name = f"{source}: its configuration ({config.digest[:19]})"
    return labels.of_config(b"".join(verified(store.blob(config), config.digest, config.size, name)))


def _layer(store: Store, blob: Descriptor, number: int, count: int) -> Layer:
    return Layer(f"layer {number} of {count} ({blob.digest[:19]})", lambda: store.blob(blob), blob.digest, blob.size)


def choose(manifests: Sequence[Descriptor], source: str) -> Descriptor:
    """Return the manifest for this machine; attestations, for unknown/unknown, are skipped."""
    images = [manifest for manifest in manifests if manifest.platform.get("os") != "unknown"]
    for wanted in (_MACHINES.get(platform.machine().lower()), "amd64"):
        for one in images:
            if one.platform.get("os") == "linux" and one.platform.get("architecture") == wanted:
                return one
    if not images:
        raise GraphError(f"{source}: is an index without any image; expected one: push it again")
    return images[0]


def apply(layers: Sequence[Layer], members: Members, source: str) -> None:
    """Extract the network's files from an image's layers, given with the lowest first."""
    for layer in reversed(layers):
        if members.complete:
            return
        name = f"{source}: {layer.name}"
        stored = verified(layer.open(), layer.digest, layer.size, name)
        archive = verified(unpacked(stored, name), layer.diff_id, None, name)
        try:
            members.add(archive, name, layer=True)
            _drain(archive)
            _drain(stored)
        except GraphError:
            # Damaged data may look like hostile data: report a wrong digest first.
            _drain(stored)
            raise


def digest_of(content: bytes) -> str:
    """Return the digest of a content, `sha256:...`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def verified(pieces: Iterable[bytes], digest: str | None, size: int | None, source: str) -> Iterator[bytes]:
    """Yield pieces and compare their digest and size with the expected ones, if these are known.

    Raises:
        GraphError: the digest is wrong, at the end, or there are more bytes than `size`.
    """
    found, received = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        received += len(piece)
        if size is not None and received > size:
            raise GraphError(f"{source}: is longer than the {size} bytes that the manifest says; do not trust it")
        yield piece
    actual = f"sha256:{found.hexdigest()}"
    if digest is not None and actual != digest:
        raise GraphError(
            f"{source}: has digest {actual} ({received} bytes); expected {digest}: it was damaged or changed"
        )


def is_packed(first: bytes) -> bool:
    """Return whether `unpacked` would decompress a file, from its first four bytes."""
    return first.startswith(_GZIP) or _ZSTD.match(first) is not None


def unpacked(pieces: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Decompress pieces; the first bytes show whether they are gzip, zstd or not compressed."""
    stored = _Stream(iter(pieces))
    stream = io.BufferedReader(stored, PIECE)
    first = stream.peek(4)[:4]
    opened: Any = stream
    if first.startswith(_GZIP):
        opened = gzip.GzipFile(fileobj=stream)
    elif _ZSTD.match(first):
        opened = zstd.ZstdFile(stream)
    unpacked_bytes = 0
    try:
        while piece := opened.read(PIECE):
            unpacked_bytes += len(piece)
            if opened is not stream and unpacked_bytes > max(LEAST_UNPACKED, LARGEST_RATIO * stored.received):
                raise GraphError(
                    f"{source}: unpacks to more than {LARGEST_RATIO} times its size ({unpacked_bytes} bytes so far); "
                    "expected the files of a network: do not trust it"
                )
            yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise GraphError(f"{source}: cannot be unpacked ({error}); push the image again") from error


class _Stream(io.RawIOBase):
    """A file object over pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")
        self.received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        target = memoryview(buffer)
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
            self.received += len(piece)
        taken = self._piece[: len(target)]
        target[: len(taken)] = taken
        self._piece = self._piece[len(taken) :]
        return len(taken)


def _drain(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


def _manifest(store: Store, name: str, source: str) -> tuple[str, dict[str, Any]]:
    """Return the digest and the content of the manifest of an image, or of an index of images."""
    raw = store.manifest(name)
    digest = digest_of(raw)
    if DIGEST.fullmatch(name) and digest != name:
        raise GraphError(f"{source}: the manifest has digest {digest}; expected {name}: it was damaged or changed")
    try:
        content = json_text.parse(raw) if len(raw) <= LARGEST_MANIFEST else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise GraphError(
            f"{source}: its manifest is not a JSON object of at most {LARGEST_MANIFEST} bytes; push it again"
        )
    if not isinstance(content.get("manifests", content.get("layers")), list):
        raise _no_image(content, source)
    return digest, content


def _no_image(content: dict[str, Any], source: str) -> GraphError:
    kind = content.get("mediaType", f"schema version {content.get('schemaVersion')}")
    return GraphError(f"{source}: is {kind}; expected an image with layers: push it with a current Docker")
