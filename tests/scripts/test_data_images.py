"""Data images in a registry: fetched with and without a Docker engine, with a password, and behind a tag that moves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.lib.data_images.tags import current_digest, stored_digest
from scripts.lib.errors import GraphError, ServerError
from scripts.lib.files import write_json
from tests.docker_engine import make_image, make_reference_image, push, registry_or_skip
from tests.documents import block
from tests.scripts.data_image_steps import GOOD, GRAPH, INI, ROOT, engine, get, make

__all__ = ["engine", "get"]


def test_auto_uses_the_engine_if_there_is_one_and_else_the_registry(engine, get, registry, monkeypatch, tmp_path):
    name = f"{registry.address}/reference:auto"
    make_reference_image(engine, name, GOOD)
    digest = push(engine, name)
    by_engine = get(data_image=name)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    by_registry = get(data_image=name)
    assert (by_engine.pop("fetched_by"), by_registry.pop("fetched_by")) == ("docker", "registry")
    assert by_engine == by_registry
    assert by_registry["digest"] == digest


def test_the_digest_of_another_name_of_an_image_is_not_recorded(engine, get, registry):
    name = f"{registry.address}/elsewhere:1"
    make_image(engine, name, GOOD)
    push(engine, name)
    engine.images.get(name).tag("only-here:1")
    record = get(data_image="only-here:1", fetch="docker")
    assert (record["digest"], record["image_id"]) == (None, engine.images.get(name).id)


def test_with_tls_and_a_password(engine, get, tmp_path, monkeypatch, capsys):
    """Made with the engine and fetched without it, and the other way round."""
    with registry_or_skip(tls=True, basic=True) as private:
        auths = {"auths": {private.address: {"auth": "dXNlcjpzZWNyZXQ="}}}
        (tmp_path / "config.json").write_text(json.dumps(auths))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        for how, fetch in (([], "registry"), (["--no-daemon"], "docker")):
            name = f"{private.address}/private:{fetch}"
            code, pinned, _ = make(capsys, *how, "--ca-file", str(private.certificate), "--publish", name)
            assert code == 0
            record = get(data_image=pinned, fetch=fetch, ca_file=private.certificate)
            assert record["digest"] == pinned.partition("@")[2]
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "absent"))
        for how in ([], ["--no-daemon"]):
            code, _, complaint = make(capsys, *how, "--ca-file", str(private.certificate), "--publish", name)
            assert code == 1
            assert "docker login" in complaint


def test_a_tag_that_moved_gives_the_new_image_and_a_digest_the_old_one(engine, get, registry):
    name = f"{registry.address}/moving:registry"
    make_image(engine, name, GOOD)
    first = push(engine, name)
    make_image(engine, name, {**GOOD, "network/notes": b"new"})
    second = push(engine, name)
    assert get(data_image=name, fetch="registry")["digest"] == second != first
    assert get(data_image=name, digest=first, fetch="registry")["digest"] == first


@pytest.mark.parametrize("fetch", ["docker", "registry"])
def test_setting_the_digest_of_the_same_image_leaves_its_record_as_it_is(engine, get, registry, fetch):
    """The record is an input of detection, which would run again."""
    name = f"{registry.address}/pinned:{fetch}"
    make_image(engine, name, GOOD)
    digest = push(engine, name)
    assert get(data_image=name, fetch=fetch) == get(data_image=name, digest=digest, fetch=fetch)


@pytest.mark.parametrize("name", ["reference:absent", "absent:1", f"reference@sha256:{'0' * 64}"])
def test_an_unknown_image_is_named(get, registry, name):
    with pytest.raises(ServerError, match="the registry has no manifest"):
        get(data_image=f"{registry.address}/{name}", fetch="registry")


def test_a_missing_file_of_an_image_is_named(engine, get, registry):
    name = f"{registry.address}/lacking:1"
    make_image(engine, name, {"network/graph.onnx": b"o", "network/train.ini": INI})
    push(engine, name)
    with pytest.raises(GraphError, match=r"has no graph\.pb, but .*'graph\.onnx'.*set it to graph\.onnx"):
        get(data_image=name, fetch="registry")


@pytest.mark.usefixtures("engine")
def test_the_documented_commands_for_operators(registry, docker_engine, tator_server, tmp_path):
    commands = block("docs/data-images.md", "image=$(python -m scripts.commands.make_pipeline_image")
    assert commands.count("registry.example.org") == 1
    commands = commands.replace("registry.example.org", registry.address)
    for name in ("Snakefile", "config", "profiles", "rules", "scripts", "reports", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "trained.pb").write_bytes(GRAPH)
    (tmp_path / "train.ini").write_bytes(INI)
    settings = {
        "tator": {"host": tator_server.host, "project_id": tator_server.project_id, "media_ids": [1]},
        "detect": {"img_max_side": 320, "img_min_side": 180, "max_frames": 3},
        "upload": {"localization_type_id": tator_server.localization_type_id},
    }
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    environ = {
        **os.environ,
        "TATOR_AUTH_TOKEN": tator_server.token,
        "DOCKER_HOST": docker_engine.host,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-e"],
        input=commands,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 media, 3 frames" in done.stderr + done.stdout


@pytest.mark.parametrize("fetch", ["docker", "registry"])
def test_a_moved_tag_is_noticed(engine, registry, tmp_path, fetch):
    name, memory = f"{registry.address}/watched:{fetch}", tmp_path / "tag.json"
    network = {"data_image": name, "archive": None, "digest": None, "fetch": fetch, "ca_file": None}
    warnings: list[str] = []
    make_image(engine, name, GOOD)
    first = push(engine, name)
    assert stored_digest(network, memory) is None
    assert [current_digest(network, memory, warnings.append) for _ in range(2)] == [first, first]
    make_image(engine, name, {**GOOD, "network/notes": b"new"})
    second = push(engine, name)
    assert stored_digest(network, memory) == first
    assert warnings == []
    assert current_digest(network, memory, warnings.append) == second == stored_digest(network, memory)
    assert len(warnings) == 1
    assert f"{name} was {first} and is now {second}" in warnings[0]
    for fixed in ({"data_image": f"{name}@{first}"}, {"digest": first}, {"archive": "net.tar"}):
        assert current_digest(network | fixed, memory, warnings.append) is None
    assert stored_digest(network | {"data_image": f"{registry.address}/other:1"}, memory) is None


def test_a_registry_that_does_not_answer_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.lib.data_images.registry.PAUSE_SECONDS", 0.01)
    name, memory = "127.0.0.1:1/net:1", tmp_path / "tag.json"
    write_json(memory, {"data_image": name, "digest": "sha256:abc"})
    network = {"data_image": name, "archive": None, "digest": None, "fetch": "registry", "ca_file": None}
    warnings: list[str] = []
    assert current_digest(network, memory, warnings.append) == "sha256:abc"
    assert re.search("could not check whether its tag has moved: .*the registry fails", warnings[0])
