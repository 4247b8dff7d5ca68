"""The image that is selected in an archive, and archives that are not as the programs that write them make them."""

import io
import json
import tarfile
from dataclasses import dataclass

import pytest

from scripts.lib.data_images import oci
from scripts.lib.data_images.archive import ImageArchive
from scripts.lib.data_images.members import Members
from scripts.lib.data_images.oci import digest_of
from scripts.lib.data_images.reference import Reference
from scripts.lib.errors import GraphError, SettingsError
from tests.docker_engine import tar

FULL_NAME, NAME_OR_TAG = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass
class MadeImage:
    """An image whose network says `text`, as its blobs by path in an archive."""

    text: str
    blobs: dict[str, bytes]
    config: str
    layer: str
    manifest: str

    def entry(self, name=None, platform=None, **annotations):
        """Return its entry in an index, with the annotations of `docker save` for a name."""
        if name:
            annotations = {FULL_NAME: f"docker.io/library/{name}", NAME_OR_TAG: name.rpartition(":")[2]}
        entry = {"digest": self.manifest, "size": len(self.blobs[path(self.manifest)]), "annotations": annotations}
        return entry | ({"platform": {"os": "linux", "architecture": platform}} if platform else {})


def path(digest):
    return f"blobs/{digest.replace(':', '/')}"


def image(text):
    layer = tar({"network/graph.pb": text.encode()})
    config = json.dumps({"rootfs": {"diff_ids": [digest_of(layer)]}}).encode()
    blobs = [{"digest": digest_of(blob), "size": len(blob)} for blob in (config, layer)]
    manifest = json.dumps({"config": blobs[0], "layers": blobs[1:]}).encode()
    digests = [digest_of(blob) for blob in (config, layer, manifest)]
    return MadeImage(text, {path(digest_of(blob)): blob for blob in (config, layer, manifest)}, *digests)


FISH, COD = image("fish"), image("cod")


def network(tmp_path, index, data_image=None, images=(FISH, COD), **others):
    """Return what the network says that an archive with this index.json, or manifest.json, gives."""
    (tmp_path / "network").mkdir()
    files = {name: blob for one in images for name, blob in one.blobs.items()} | others
    listed = {"manifest.json": index} if "Config" in index[0] else {"index.json": {"manifests": index}}
    files |= {name: json.dumps(content).encode() for name, content in listed.items()}
    (tmp_path / "a.tar").write_bytes(tar(files))
    reference = Reference.parse(data_image) if data_image else None
    _, layers = ImageArchive(tmp_path / "a.tar", tmp_path).resolve(reference)
    oci.apply(layers, Members(tmp_path / "network", ["graph.pb"]), "it")
    return (tmp_path / "network" / "graph.pb").read_text()


def docker_entry(one, *names):
    return {"Config": path(one.config), "RepoTags": list(names), "Layers": [path(one.layer)]}


SAME_TAG = [FISH.entry("fish:1"), COD.entry("cod:1")]
WITH_PLATFORMS = [FISH.entry("fish:1", "amd64"), COD.entry("cod:1", "amd64")]
TWO_NAMES = [FISH.entry("fish:1"), FISH.entry("fish:2")]


@pytest.mark.parametrize(
    ("index", "data_image", "text"),
    [
        (SAME_TAG, "cod:1", "cod"),
        (WITH_PLATFORMS, "cod:1", "cod"),
        (TWO_NAMES, None, "fish"),
        (TWO_NAMES, "fish:2", "fish"),
        # Only a tag, a name without a registry, and a registry that the settings leave out.
        ([FISH.entry(**{NAME_OR_TAG: "1"}), COD.entry(**{NAME_OR_TAG: "2"})], "net:2", "cod"),
        ([FISH.entry(**{NAME_OR_TAG: "fish:1"}), COD.entry(**{NAME_OR_TAG: "docker.io/library/cod"})], "cod", "cod"),
        ([FISH.entry(**{FULL_NAME: "localhost/net:1"}), COD.entry(**{FULL_NAME: "localhost/net:2"})], "net:2", "cod"),
        # The whole name is better than one that only ends with it.
        ([FISH.entry(**{FULL_NAME: "a.org/cod:1"}), COD.entry("cod:1")], "cod:1", "cod"),
        # Without any name the only image is taken; a digest says more than a name.
        ([COD.entry()], "cod:1", "cod"),
        (SAME_TAG, f"other@{COD.manifest}", "cod"),
        # One image for two platforms.
        ([FISH.entry("fish:1", "s390x"), COD.entry("fish:1", "amd64")], "fish:1", "cod"),
        ([docker_entry(FISH, "fish:1"), docker_entry(COD, "cod:1", "cod:2")], "cod:2", "cod"),
        ([docker_entry(COD, "cod:1"), docker_entry(COD, "cod:2")], None, "cod"),
        ([docker_entry(COD)], "cod:1", "cod"),
    ],
)
def test_the_name_selects_an_image(tmp_path, index, data_image, text):
    assert network(tmp_path, index, data_image) == text


BOTH = "docker.io/library/cod:1, docker.io/library/fish:1"


@pytest.mark.parametrize(
    ("index", "data_image", "message"),
    [
        (SAME_TAG, None, f"holds 2 images: {BOTH}; expected one"),
        (WITH_PLATFORMS, None, f"holds 2 images: {BOTH}; expected one"),
        (WITH_PLATFORMS, "plaice:1", f"holds {BOTH}; expected plaice:1: correct network.data_image"),
        ([FISH.entry("fish:1")], "cod:1", "holds docker.io/library/fish:1; expected cod:1"),
        ([FISH.entry("fish:1")], "fish:2", "holds docker.io/library/fish:1; expected fish:2"),
        ([FISH.entry(**{NAME_OR_TAG: "1"})], "fish:2", "holds 1; expected fish:2"),
        ([FISH.entry(), COD.entry()], "fish:1", "holds 2 images: images without names; expected one"),
        ([docker_entry(FISH, "fish:1")], "cod:2", "holds fish:1; expected cod:2"),
        ([docker_entry(FISH, "fish:1"), docker_entry(COD, "cod:1")], None, "holds 2 images: cod:1, fish:1"),
    ],
)
def test_a_name_that_selects_no_single_image_is_refused(tmp_path, index, data_image, message):
    with pytest.raises(SettingsError, match=message):
        network(tmp_path, index, data_image)


@pytest.mark.parametrize("missing", [FISH.manifest, FISH.layer])
def test_a_platform_that_was_not_saved_is_not_chosen(tmp_path, missing):
    """Docker lists all platforms of an image, also those that this machine never fetched."""
    platforms = [{**FISH.entry(), "platform": {"os": "linux", "architecture": "amd64"}}]
    platforms += [{**COD.entry(), "platform": {"os": "linux", "architecture": "arm64"}}]
    listing = json.dumps({"manifests": platforms}).encode()
    entry = {"digest": digest_of(listing), "size": len(listing), "annotations": {FULL_NAME: "docker.io/library/net:1"}}
    saved = image("fish")
    del saved.blobs[path(missing)]
    assert network(tmp_path, [entry], None, [saved, COD], **{path(digest_of(listing)): listing}) == "cod"


def test_annotations_that_are_not_an_object(tmp_path):
    index = {"manifests": [{"digest": "sha256:" + "a" * 64, "size": 1, "annotations": 5}]}
    raw = json.dumps(index).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("index.json")
        member.size = len(raw)
        archive.addfile(member, io.BytesIO(raw))
    with pytest.raises(GraphError, match=r"blobs/sha256/aaa.* is missing"):
        ImageArchive(tmp_path / "a.tar", tmp_path).resolve(None)
