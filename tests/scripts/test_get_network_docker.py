"""Networks from data images, with a real Docker engine and a real registry."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from scripts.lib.data_images.members import Members
from scripts.lib.errors import GraphError, ServerError
from tests.docker_engine import forget, make_image, make_reference_image, push, running_registry
from tests.scripts.data_image_steps import containers_left, engine
from tests.scripts.test_get_network import (
    FILES,
    GOOD,
    GRAPH,
    INI,
    ROOT,
    UNKNOWN,
    get,
    nothing_written,
    sha256,
)

__all__ = ["engine", "get"]


@pytest.fixture(scope="module")
def published(docker_engine, registry):
    """Return name and digest of an image made as the reference workflow does, in the registry but not in the engine."""
    name = f"{registry.address}/reference:1"
    make_reference_image(docker_engine.client, name, GOOD)
    digest = push(docker_engine.client, name)
    forget(docker_engine.client, name)
    return name, digest


class TestDocker:
    def test_pulls_and_records(self, engine, get, published):
        name, digest = published
        record = get(data_image=name, fetch="docker")
        image_id = engine.images.get(name).id
        assert record == {
            "source": "data_image",
            "reference": name,
            "fetched_by": "docker",
            "digest": digest,
            "image_id": image_id,
            "files": FILES,
        }
        assert (get.out / "graph.pb").read_bytes() == GRAPH

    @pytest.mark.parametrize("local", [True, False])
    def test_a_digest_in_the_name_or_in_its_own_setting(self, engine, get, published, local):
        name, digest = published
        for settings in ({"data_image": f"{name}@{digest}"}, {"data_image": name, "digest": digest}):
            if not local:
                forget(engine, *(image.id for image in engine.images.list(name.rpartition(":")[0])))
            assert get(**settings, fetch="docker")["digest"] == digest

    def test_a_digest_that_does_not_exist_is_named(self, engine, get, published):
        name, digest = published
        with pytest.raises(ServerError, match=f"cannot pull it .*no longer has the digest pinned, tag 1 is {digest}"):
            get(data_image=name, digest=UNKNOWN, fetch="docker")
        assert nothing_written(get)

    def test_a_tag_that_moved_gives_the_new_image_and_a_digest_the_old_one(self, engine, get, registry):
        name = f"{registry.address}/moving:1"
        make_image(engine, name, GOOD)
        first = push(engine, name)
        assert get(data_image=name, fetch="docker")["digest"] == first
        new = {**GOOD, "network/train.ini": b"[Data]\nSpecies=a,b,c"}
        make_image(engine, name, new)
        second = push(engine, name)
        forget(engine, name)
        engine.images.pull(f"{registry.address}/moving@{first}").tag(name)  # the engine still has the old one
        record = get(data_image=name, fetch="docker")
        assert record["digest"] == second != first
        assert record["files"]["train.ini"]["sha256"] == sha256(new["network/train.ini"])
        assert get(data_image=name, digest=first, fetch="docker")["files"] == FILES

    def test_an_image_made_on_this_machine_needs_no_registry(self, engine, get):
        image_id = make_image(engine, "made-here:1", GOOD)
        record = get(data_image="made-here:1")
        assert (record["digest"], record["image_id"], record["files"]) == (None, image_id, FILES)
        assert get(data_image="made-here:1", digest=image_id)["image_id"] == image_id

    @pytest.mark.parametrize("name", ["reference:absent", "absent:1"])
    def test_an_unknown_image_is_named(self, engine, get, registry, published, name):
        with pytest.raises(ServerError, match=f"{name}: the Docker engine cannot pull it .*check the name"):
            get(data_image=f"{registry.address}/{name}", fetch="docker")

    def test_an_unreachable_registry_is_named_with_a_remedy(self, engine, get, docker_engine):
        with running_registry() as gone:
            name = f"{gone.address}/gone:1"
            make_image(engine, name, GOOD)
            digest = push(engine, name)
        with pytest.raises(ServerError, match=f"registry can be reached; or use the copy .*network.digest: {digest}"):
            get(data_image=name, fetch="docker")
        assert get(data_image=name, digest=digest, fetch="docker")["files"] == FILES

    def test_a_wrong_password_is_named(self, engine, get, monkeypatch, tmp_path):
        with running_registry(basic=True) as private:
            name = f"{private.address}/private:1"
            make_image(engine, name, GOOD)
            engine.images.push(name, auth_config={"username": "user", "password": "secret"})
            forget(engine, name)
            monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
            for auth, good in (("dXNlcjp3cm9uZw==", False), ("dXNlcjpzZWNyZXQ=", True)):
                (tmp_path / "config.json").write_text(json.dumps({"auths": {private.address: {"auth": auth}}}))
                if good:
                    assert get(data_image=name, fetch="docker")["files"] == FILES
                else:
                    with pytest.raises(ServerError, match=r"log in with `docker login`") as caught:
                        get(data_image=name, fetch="docker")
                    assert "wrong" not in str(caught.value)
                    assert auth not in str(caught.value)

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"etc/x": b"1"}, "has no folder /network"),
            ({"network/graph.pb": GRAPH}, "/network has no train.ini, but 'graph.pb'"),
            ({"network/graph.onnx": b"o", "network/train.ini": INI}, "set it to graph.onnx"),
            ({**GOOD, "network/train.ini": b"[Data]"}, "no Species"),
            ({"network": b"a file"}, "graph.pb is behind /network, which is a file"),
        ],
    )
    def test_a_missing_file_of_an_image_is_named(self, engine, get, files, message):
        make_image(engine, "lacking:1", files)
        with pytest.raises(GraphError, match=message):
            get(data_image="lacking:1")
        assert nothing_written(get)

    def test_a_link_in_an_image_is_not_followed(self, engine, get):
        link = tarfile.TarInfo("network/graph.pb")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        make_image(engine, "linking:1", {"network/graph.pb": link, "network/train.ini": INI})
        with pytest.raises(GraphError, match=r"/network/graph.pb is a symbolic link; expected a regular file"):
            get(data_image="linking:1")

    def test_a_hostile_archive_leaves_no_container(self, engine, get, monkeypatch):
        """The engine is not trusted either: the size of what it sends is limited."""
        make_image(engine, "hostile:1", GOOD)
        add = Members.add
        monkeypatch.setattr(Members, "add", lambda self, pieces, source: add(self, [next(pieces)[:5000]], source))
        with pytest.raises(GraphError, match=r"ends after 5000 bytes"):
            get(data_image="hostile:1")
        assert containers_left(engine) == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
    def test_no_container_is_left_after_any_exception(self, engine, get, monkeypatch, error):
        make_image(engine, "failing:1", GOOD)
        seen = []

        def fail(self, pieces, source):
            seen.extend(containers_left(engine))
            raise error

        monkeypatch.setattr(Members, "add", fail)
        with pytest.raises(error):
            get(data_image="failing:1")
        assert [container.attrs["State"] for container in seen] == ["created"]
        assert nothing_written(get)

    def test_no_container_is_left_after_sigterm(self, engine, docker_engine, tmp_path):
        make_image(engine, "stopped:1", {**GOOD, "network/z.bin": bytes(30_000_000)})
        code = f"""
import time
from pathlib import Path
from scripts.get_network import get_network
from scripts.lib.data_images.members import Members

add = Members.add
def slow(self, pieces, source):
    print("reading", flush=True)
    add(self, (time.sleep(0.2) or piece for piece in pieces), source)
Members.add = slow
out = Path({str(tmp_path)!r})
get_network(graph=out / "graph.pb", train_ini=out / "train.ini", provenance=out / "p.json", data_image="stopped:1")
"""
        environment = {**os.environ, "DOCKER_HOST": docker_engine.host}
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as job:
            assert job.stdout.readline() == "reading\n"
            assert len(containers_left(engine)) == 1
            time.sleep(0.3)
            job.send_signal(signal.SIGTERM)
            assert job.wait(30) == 128 + signal.SIGTERM
        assert containers_left(engine) == []
        assert list(tmp_path.iterdir()) == []

    def test_no_container_is_ever_started(self, engine, get):
        """The engine reports no event of a container that ran."""
        since = int(time.time())
        make_image(engine, "idle:1", GOOD)
        get(data_image="idle:1")
        time.sleep(1.1)
        events = engine.events(since=since, until=int(time.time()), decode=True, filters={"type": "container"})
        actions = [event["Action"].partition(":")[0] for event in events]
        assert "create" in actions
        assert "destroy" in actions
        assert not {"start", "attach", "exec_create"} & set(actions)
