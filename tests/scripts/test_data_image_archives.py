"""Data images in archives: those of `docker save` and of make_pipeline_image, and damaged ones."""

import gzip
import json
import tarfile

import pytest

from scripts.lib.data_images.oci import zstd
from scripts.lib.errors import GraphError, SettingsError
from tests.docker_engine import make_reference_image, tar
from tests.scripts.data_image_steps import GOOD, GRAPH, INI, engine, get, make

__all__ = ["engine", "get"]


@pytest.fixture(scope="module")
def saved(docker_engine, tmp_path_factory):
    """What `docker save` writes of two images that share a layer."""
    for label, content in (("1", INI), ("2", INI + b"# two\n")):
        make_reference_image(docker_engine.client, f"saved:{label}", {**GOOD, "network/train.ini": content})
    folder = tmp_path_factory.mktemp("saved")
    for name, names in (("one", ["saved:1"]), ("two", ["saved:1", "saved:2"])):
        answer = docker_engine.client.api.get(
            f"{docker_engine.client.api.base_url}/images/get", params={"names": names}, stream=True
        )
        with answer, (folder / f"{name}.tar").open("wb") as stream:
            stream.writelines(answer.iter_content(2**20))
    return folder


def test_archives_of_docker_save(get, saved, docker_engine):
    record = get(archive=saved / "one.tar")
    assert (record["source"], record["digest"]) == ("archive", None)
    assert record["image_id"] == docker_engine.client.images.get("saved:1").id
    assert get(archive=saved / "one.tar", digest=record["image_id"])["files"] == record["files"]
    with pytest.raises(GraphError, match=r"expected sha256:000"):
        get(archive=saved / "one.tar", digest="sha256:" + "0" * 64)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_compressed_archives(get, saved, tmp_path, pack):
    (tmp_path / "packed").write_bytes(pack((saved / "one.tar").read_bytes()))
    assert get(archive=tmp_path / "packed")["files"] == get(archive=saved / "one.tar")["files"]


def test_an_archive_of_several_images_needs_a_name(get, saved):
    with pytest.raises(SettingsError, match=r"holds 2 images: saved:1, saved:2; expected one: name it"):
        get(archive=saved / "two.tar")
    sizes = [
        get(archive=saved / "two.tar", data_image=f"saved:{label}")["files"]["train.ini"]["size"] for label in "12"
    ]
    assert sizes == [len(INI), len(INI) + 6]


def test_archives_of_make_pipeline_image(engine, get, capsys, tmp_path):
    archive = tmp_path / "net.tar"
    digest = make(capsys, "--no-daemon", "--output", str(archive), "written:1")[1]
    record = get(archive=archive, digest=digest)
    assert record["digest"] == digest
    engine.images.load(archive.read_bytes())
    assert engine.images.get("written:1").id == record["image_id"]
    assert get(data_image="written:1", fetch="docker")["files"] == record["files"]


def test_a_changed_blob_is_refused(get, saved, capsys, tmp_path):
    make(capsys, "--no-daemon", "--output", str(tmp_path / "net.tar"), "net:1")
    for path in (tmp_path / "net.tar", saved / "one.tar"):
        content = bytearray(path.read_bytes())
        content[content.index(GRAPH[1000:1100])] ^= 1
        (tmp_path / "changed.tar").write_bytes(content)
        with pytest.raises(GraphError, match="it was damaged or changed"):
            get(archive=tmp_path / "changed.tar")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "not a complete tar archive"),
        (tar({"a": b"x"}), "neither index.json nor manifest.json"),
        (tar({"index.json": b"{"}), "index.json is not JSON"),
        (tar({"index.json": b"{}"}), "names no image"),
        (tar({"manifest.json": b'[{"Config": 1}]'}), "not as docker save writes"),
        (tar({"manifest.json": b'[{"Config": "../c", "Layers": []}]'}), "not as docker save writes"),
        (
            tar({"manifest.json": b'[{"Config": "/etc/passwd", "RepoTags": [], "Layers": []}]'}),
            "/etc/passwd is missing in it",
        ),
    ],
)
def test_files_that_are_not_images_are_refused(get, tmp_path, content, message):
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(GraphError, match=message):
        get(archive=tmp_path / "archive")


def test_circular_links_are_refused(get, tmp_path):
    link = tarfile.TarInfo("c")
    link.type, link.linkname = tarfile.SYMTYPE, "c"
    manifest = json.dumps([{"Config": "c", "RepoTags": None, "Layers": []}]).encode()
    (tmp_path / "archive").write_bytes(tar({"manifest.json": manifest, "c": link}))
    with pytest.raises(GraphError, match="c is missing in it"):
        get(archive=tmp_path / "archive")


def test_a_missing_archive_is_named(get, tmp_path):
    with pytest.raises(GraphError, match=r"network\.archive: .*absent\.tar is not a file"):
        get(archive=tmp_path / "absent.tar")
