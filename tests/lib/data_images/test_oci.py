"""Layers, manifests and platforms of images, from a registry with any content."""

import gzip
import json
import platform

import pytest

from scripts.lib.data_images import oci, registry
from scripts.lib.data_images.members import Members
from scripts.lib.data_images.oci import zstd
from scripts.lib.data_images.reference import Reference
from scripts.lib.data_images.registry import Registry
from scripts.lib.errors import GraphError, ServerError
from tests.docker_engine import tar
from tests.oci_server import digest_of, misbehaving_registry

NAMES = ("graph.pb", "train.ini")
GRAPH = bytes(range(256)) * 4000
UPPER = {"network/graph.pb": GRAPH, "network/train.ini": b"ini"}
LOWER = {"network/graph.pb": b"old", "etc/os-release": b"base"}


@pytest.fixture
def served():
    with misbehaving_registry() as (address, contents):
        contents.address = address
        yield contents


@pytest.fixture
def fetch(served, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "PAUSE_SECONDS", 0.01)

    def call(name="1", image="net"):
        reference = Reference.parse(f"{served.address}/{image}", name if name.startswith("sha256:") else None)
        folder = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        members = Members(folder, NAMES)
        with Registry(reference) as store:
            image, layers = oci.resolve(store, name, "it")
            oci.apply(layers, members, "it")
        return image, {key: path.read_bytes() for key, path in members.found.items()}

    return call


def requested_blobs(served):
    return [path.rpartition("/")[2] for path, _ in served.requests if "/blobs/" in path]


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        zstd.compress,
        lambda data: gzip.compress(data[:5000]) + gzip.compress(data[5000:]),
        lambda data: zstd.compress(data[:5000]) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(data[5000:]),
        lambda data: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(data),
    ],
    ids=["none", "gzip", "zstd", "gzip in parts", "zstd in frames", "zstd after a frame to skip"],
)
def test_layers_with_every_compression(served, fetch, pack):
    served.image(pack(tar(UPPER)))
    assert fetch()[1] == {"graph.pb": GRAPH, "train.ini": b"ini"}


def test_only_the_needed_layers_are_fetched(served, fetch):
    upper, middle, lower = tar(UPPER), tar({"network/notes": b"x"}), tar(LOWER)
    found = served.image(lower, upper, middle)
    image, files = fetch()
    assert files == {"graph.pb": GRAPH, "train.ini": b"ini"}
    assert image.digest == found["digest"]
    assert requested_blobs(served) == [image.image_id, digest_of(middle), digest_of(upper)]


def test_whiteouts_hide_files_of_all_lower_layers(served, fetch):
    served.image(tar({"network/graph.pb": b"old", "network/train.ini": b"ini"}), tar({"network/.wh.graph.pb": b""}))
    assert fetch()[1] == {"train.ini": b"ini"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
@pytest.mark.parametrize("kind", ["application/vnd.oci.image.index.v1+json", None])
def test_the_platform_of_this_machine_is_chosen(served, fetch, monkeypatch, machine, kind):
    expected = b"arm64" if machine == "aarch64" else b"amd64"
    monkeypatch.setattr(platform, "machine", lambda: machine)
    entries = [
        {**served.image(tar({"network/graph.pb": b"no"})), "platform": {"os": "unknown", "architecture": "unknown"}}
    ]
    for name in ("arm64", "amd64"):
        found = served.image(tar({"network/graph.pb": name.encode(), "network/train.ini": b"ini"}))
        entries.append({**found, "platform": {"os": "linux", "architecture": name}})
    index = {"schemaVersion": 2, "manifests": entries} | ({"mediaType": kind} if kind else {})
    found = served.manifest(index, "1")
    image, files = fetch()
    assert files["graph.pb"] == expected
    assert image.digest == found["digest"]  # the digest of the tag's index, as in a Docker engine
    assert fetch(found["digest"])[1] == files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "not a JSON object"),
        (b"{", "not a JSON object"),
        (b" " * (oci.LARGEST_MANIFEST + 1), "not a JSON object of at most"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "is schema version 1; expected an image with layers"),
        (b'{"manifests": []}', "index without any image"),
        (b'{"manifests": 5}', "expected an image with layers"),
        (b'{"layers": [{"digest": "md5:1", "size": 1}], "config": {}}', "digest 'md5:1' and size 1"),
        (b'{"layers": [{"digest": "sha256:../..", "size": 1}], "config": {}}', r"sha256:\.\./\.\."),
        (json.dumps({"layers": [{"digest": "sha256:" + "0" * 64, "size": -1}], "config": {}}).encode(), "size -1"),
        (b'{"layers": 1, "config": {}}', "expected an image with layers"),
    ],
)
def test_invalid_manifests_are_errors(served, fetch, content, message):
    served.manifests["1"] = content
    with pytest.raises(GraphError, match=message):
        fetch()


def test_a_manifest_with_another_digest_is_refused(served, fetch):
    wanted = served.image(tar(UPPER))["digest"]
    served.manifests[wanted] = served.manifests[wanted].replace(b'"schemaVersion": 2', b'"schemaVersion":  2')
    with pytest.raises(GraphError, match=f"has digest sha256:.*; expected {wanted}"):
        fetch(wanted)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_layer_that_was_changed_is_refused(served, fetch, pack):
    layer = pack(tar(UPPER))
    served.image(layer)
    changed = bytearray(layer)
    changed[len(layer) // 2] ^= 1
    served.blobs[digest_of(layer)] = bytes(changed)
    with pytest.raises(GraphError, match=f"layer 1 of 1 .*expected {digest_of(layer)}: it was damaged or changed"):
        fetch()


def test_a_layer_that_is_longer_than_its_size_is_refused(served, fetch):
    layer = tar(UPPER)
    served.image(layer)
    served.blobs[digest_of(layer)] = layer + b"x"
    with pytest.raises(GraphError, match="is longer than"):
        fetch()


@pytest.mark.parametrize(
    "damage",
    [gzip.compress(tar(UPPER))[:-20], b"\x28\xb5\x2f\xfdnonsense", b"\x1f\x8bnonsense"],
    ids=["gzip cut short", "zstd", "gzip"],
)
def test_a_layer_that_cannot_be_unpacked_is_an_error(served, fetch, damage):
    served.image(damage)
    with pytest.raises(GraphError, match=r"layer 1 of 1 .* cannot be unpacked"):
        fetch()


class TestFaults:
    @pytest.mark.parametrize("ranges", [True, False])
    def test_a_cut_blob_goes_on_where_it_was(self, served, fetch, ranges):
        served.image(tar(UPPER))
        served.cut_after, served.cuts, served.ranges = (
            200_000,
            5 if ranges else 2,
            ranges,
        )  # one is for the configuration
        whole = 200_000
        assert fetch()[1]["graph.pb"] == GRAPH
        requested = [start for path, start in served.requests if "/blobs/" in path]
        assert requested == [None, None, *(f"bytes={n * whole}-" for n in (range(1, 5) if ranges else [1]))]

    def test_a_blob_that_never_comes_is_given_up(self, served, fetch):
        served.image(tar(UPPER))
        served.cut_after, served.cuts = 0, 100
        with pytest.raises(ServerError, match=r"the registry fails .*5 times"):
            fetch()
        assert len(requested_blobs(served)) == registry.TRIES

    def test_a_busy_registry_is_waited_for(self, served, fetch):
        served.image(tar(UPPER))
        served.busy = registry.TRIES - 1
        assert fetch()[1]["graph.pb"] == GRAPH
        served.busy = 100
        with pytest.raises(ServerError, match=r"the registry fails \(503\) at manifest 1, 5 times"):
            fetch()

    def test_a_store_behind_the_registry_is_followed_and_its_address_kept_secret(self, served, fetch, caplog):
        served.image(tar(UPPER))
        served.redirected, served.cut_after, served.cuts = True, 200_000, 1
        assert fetch()[1]["graph.pb"] == GRAPH
        assert [path.partition("?")[2] for path, _ in served.requests if "/blobs/" in path] == [
            "",
            "signature=s3cret",
        ] * 2
        served.cut_after, served.cuts = 0, 100
        with pytest.raises(ServerError) as caught:
            fetch()
        assert "s3cret" not in str(caught.value) + caplog.text

    def test_a_blob_that_is_gone_is_named(self, served, fetch):
        layer = tar(UPPER)
        served.image(layer)
        del served.blobs[digest_of(layer)]
        with pytest.raises(ServerError, match=f"has no blob {digest_of(layer)}"):
            fetch()


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_layer_that_unpacks_to_far_more_bytes_is_refused(served, fetch, pack, monkeypatch):
    monkeypatch.setattr(oci, "LEAST_UNPACKED", 1 << 20)
    served.image(pack(tar({"network/graph.pb": bytes(32 << 20), "network/train.ini": b"ini"})))
    with pytest.raises(GraphError, match=r"unpacks to more than 200 times its size"):
        fetch()
