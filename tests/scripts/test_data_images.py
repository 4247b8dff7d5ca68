"""Data images from the file to the workflow: made and fetched, each with and without a Docker engine."""

import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from scripts.commands.make_pipeline_image import main
from scripts.get_network import get_network
from scripts.lib.data_images import docker_images
from scripts.lib.data_images.oci import zstd
from scripts.lib.data_images.tags import current_digest, stored_digest
from scripts.lib.errors import GraphError, ServerError, SettingsError
from scripts.lib.files import write_json
from scripts.lib.workflow.jobs import job
from tests.docker_engine import forget, make_image, make_reference_image, push, registry_or_skip, tar
from tests.documents import block

ROOT = Path(__file__).parents[2]
SYNTHETIC = ROOT / "tests/data/synthetic"
GRAPH = (SYNTHETIC / "graph.pb").read_bytes()
INI = (SYNTHETIC / "train.ini").read_bytes()
GOOD = {"network/graph.pb": GRAPH, "network/train.ini": INI}
MAKE = ["--graph-pb", str(SYNTHETIC / "graph.pb"), "--train-ini", str(SYNTHETIC / "train.ini")]


@pytest.fixture
def get(tmp_path):
    out = tmp_path / "network"

    def call(**settings):
        record = out / "provenance.json"
        get_network(graph=out / "graph.pb", train_ini=out / "train.ini", provenance=record, **settings)
        assert (out / "graph.pb").read_bytes() == GRAPH
        return json.loads(record.read_text())

    return call


@pytest.fixture
def engine(docker_engine, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    return docker_engine.client


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def make(capsys, *arguments):
    """Run the command line; return its exit code, its last line, and its error message."""
    code = main([*MAKE, *arguments])
    said = capsys.readouterr()
    return code, said.out.splitlines()[-1] if said.out else "", said.err


class TestMake:
    @pytest.mark.parametrize("fetch", ["docker", "registry"])
    @pytest.mark.parametrize("how", [[], ["--no-daemon"]], ids=["engine", "no engine"])
    def test_made_and_fetched_each_way(self, engine, get, registry, capsys, how, fetch):  # noqa: PLR0917
        name = f"{registry.address}/each-way:{len(how)}"
        code, pinned, _ = make(capsys, *how, "--publish", name)
        assert code == 0
        assert pinned.startswith(f"{name.rpartition(':')[0]}@sha256:")
        for image in engine.images.list():
            if any(tag == name for tag in image.tags):
                forget(engine, image.id)
        record = get(data_image=pinned, fetch=fetch)
        assert (record["fetched_by"], record["digest"]) == (fetch, pinned.partition("@")[2])
        assert record["image_id"] == get(data_image=name, fetch="registry")["image_id"]

    def test_the_same_input_gives_the_same_digest(self, engine, registry, capsys, tmp_path):
        names = [f"{registry.address}/same:{number}" for number in (1, 2)]
        alone = [make(capsys, "--no-daemon", "--publish", name)[1] for name in names]
        by_engine = [make(capsys, "--publish", name)[1] for name in names]
        assert alone[0] == alone[1]
        assert by_engine[0] == by_engine[1]
        files = [tmp_path / name for name in "ab"]
        for file in files:
            assert make(capsys, "--no-daemon", "--output", str(file), "same:1")[1] == alone[0].partition("@")[2]
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_labels_say_what_is_inside(self, engine, capsys):
        make(capsys, "labelled:1", "--img-max-side", "640", "--img-min-side", "360")
        labels = engine.images.get("labelled:1").labels
        assert labels["org.tator-detection.classes"] == '["cod", "flatfish", "crab"]'
        assert labels["org.opencontainers.image.description"] == "RetinaNet for cod, flatfish, crab"
        assert (labels["org.tator-detection.img_max_side"], labels["org.tator-detection.img_min_side"]) == (
            "640",
            "360",
        )
        assert len(labels["org.tator-detection.sha256.graph.pb"]) == 64

    @pytest.mark.parametrize("source", ["docker", "registry", "archive"])
    def test_another_size_than_the_label_says_is_a_warning(  # noqa: PLR0917
        self, engine, get, registry, capsys, tmp_path, monkeypatch, source
    ):
        warnings = []
        monkeypatch.setattr(job, "tell_user", warnings.append)
        where = {"fetch": source, "data_image": f"{registry.address}/sized:1"}
        how = ["--publish", where["data_image"]]
        if source == "archive":
            where, how = {"archive": tmp_path / "sized.tar"}, ["--output", str(tmp_path / "sized.tar"), "sized:1"]
        make(capsys, "--no-daemon", "--img-max-side", "640", "--img-min-side", "360", *how)
        get(**where, img_max_side=640, img_min_side=360)
        assert warnings == []
        get(**where, img_max_side=1280, img_min_side=720)
        assert "1280 x 720; the data image's label says 640 x 360, and at another size" in warnings[0]

    @pytest.mark.parametrize("says", [True, False])
    def test_the_label_is_what_openems_train_ini_says(self, get, capsys, tmp_path, says):
        ini, archive = tmp_path / "train.ini", tmp_path / "sized.tar"
        ini.write_bytes(INI + (b"\n[Detect]\nWidth=640\nHeight=360\n" if says else b""))
        arguments = [*MAKE[:2], "--train-ini", str(ini), "--no-daemon", "--output", str(archive), "sized:1"]
        assert main(arguments) == 0
        assert ("no size is known; with --img-max-side" in capsys.readouterr().err) != says
        if says:
            assert get(archive=archive)["size"] == [640, 360]
        else:
            with pytest.raises(SettingsError, match=r"set detect\.img_max_side"):
                get(archive=archive, needs_size=True)

    @pytest.mark.parametrize("names", ["cod,flatfish", "cod,flatfish,crab,eel"])
    def test_a_count_that_does_not_fit_names_both(self, capsys, tmp_path, names):
        (tmp_path / "train.ini").write_text(f"[Data]\nSpecies={names}\n")
        arguments = [
            *MAKE[:2],
            "--train-ini",
            str(tmp_path / "train.ini"),
            "--no-daemon",
            "--output",
            str(tmp_path / "o"),
        ]
        assert main([*arguments, "net:1"]) == 1
        said = capsys.readouterr().err
        assert "graph.pb scores 3 classes, " in said
        assert f"train.ini names {names.count(',') + 1} (cod, " in said
        assert not (tmp_path / "o").exists()

    def test_a_graph_made_for_one_size_and_batch_is_taken(self, capsys, tmp_path):
        from onnx import TensorProto, helper, save

        shapes = {"input": [4, 64, 96, 3], "boxes": [4, 2, 4], "scores": [4, 2, 3]}
        values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
        nodes = [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Reshape", ["mean", "column"], ["column_mean"]),
            *(helper.make_node("Mul", ["column_mean", f"ones_{name}"], [name]) for name in ("boxes", "scores")),
        ]
        constants = [helper.make_tensor("column", TensorProto.INT64, [3], [4, 1, 1])]
        for name, columns in (("boxes", 4), ("scores", 3)):
            constants.append(
                helper.make_tensor(f"ones_{name}", TensorProto.FLOAT, [1, 2, columns], [1.0] * 2 * columns)
            )
        graph = helper.make_graph(nodes, "net", [values["input"]], [values["boxes"], values["scores"]], constants)
        save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "graph.onnx"
        )
        arguments = ["--graph-onnx", str(tmp_path / "graph.onnx"), *MAKE[2:], "--no-daemon"]
        assert main([*arguments, "--output", str(tmp_path / "o"), "net:1"]) == 0, capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--graph-pb", str(SYNTHETIC / "train.ini"), "--output", "o", "net:1"], "cannot read it"),
            (["--graph-pb", "absent.pb", "--output", "o", "net:1"], "is not a file"),
            (["--output", "o", "net:1"], "no graph is given"),
            ([*MAKE, "net:1"], "the image would be lost"),
            ([*MAKE, "--output", "o", "net:1@sha256:" + "0" * 64], "without a digest"),
            ([*MAKE, "--output", "o", "Net"], "in lower case"),
        ],
    )
    def test_faults_are_named_and_the_exit_code_is_honest(self, capsys, arguments, words):
        assert main(["--no-daemon", *arguments]) == 1
        assert words in capsys.readouterr().err

    def test_a_registry_out_of_reach_is_a_failure(self, engine, capsys, monkeypatch):
        monkeypatch.setattr("scripts.lib.data_images.registry.PAUSE_SECONDS", 0.01)
        for how in ([], ["--no-daemon"]):
            code, _, complaint = make(capsys, *how, "--publish", "127.0.0.1:1/net:1")
            assert code == 1
            assert "127.0.0.1:1/net:1" in complaint

    def test_without_an_engine_the_remedy_is_named(self, no_engine, capsys):
        code, _, complaint = make(capsys, "net:1")
        assert code == 1
        assert "no Docker engine can be reached" in complaint
        assert "or add --no-daemon" in complaint
        assert "network.directory" not in complaint

    def test_certificates_are_named_by_this_command_s_option(self, capsys):
        arguments = ["--no-daemon", "--ca-file", "absent.pem", "--publish", "localhost:1/net:1"]
        code, _, complaint = make(capsys, *arguments)
        assert code == 1
        assert complaint.splitlines()[-1].startswith("--ca-file: absent.pem is not a file")

    @pytest.mark.docker
    def test_untrusted_certificate_names_this_command_s_option(self, capsys):
        with registry_or_skip(tls=True, basic=True) as private:
            code, _, complaint = make(capsys, "--no-daemon", "--publish", f"{private.address}/net:1")
        assert code == 1
        assert "name its authority's certificate in --ca-file" in complaint

    def test_runs_as_a_command_from_anywhere(self, tmp_path):
        command = [sys.executable, str(ROOT / "scripts/commands/make_pipeline_image.py"), *MAKE, "--no-daemon"]
        command += ["--output", "net.tar", "net:1"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1].startswith("sha256:")
        assert (tmp_path / "net.tar").is_file()


class TestFetch:
    def test_auto_takes_the_engine_or_else_the_registry(self, engine, get, registry, monkeypatch, tmp_path):
        name = f"{registry.address}/reference:auto"
        make_reference_image(engine, name, GOOD)
        digest = push(engine, name)
        by_engine = get(data_image=name)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        by_registry = get(data_image=name)
        assert (by_engine.pop("fetched_by"), by_registry.pop("fetched_by")) == ("docker", "registry")
        assert by_engine == by_registry
        assert by_registry["digest"] == digest

    def test_an_image_pushed_elsewhere_is_still_one_made_here(self, engine, get, registry):
        name = f"{registry.address}/elsewhere:1"
        make_image(engine, name, GOOD)
        push(engine, name)
        engine.images.get(name).tag("only-here:1")
        record = get(data_image="only-here:1", fetch="docker")
        assert (record["digest"], record["image_id"]) == (None, engine.images.get(name).id)

    def test_with_tls_and_a_password(self, engine, get, tmp_path, monkeypatch, capsys):
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

    def test_a_moved_tag_is_noticed_and_a_pin_stays(self, engine, get, registry):
        name = f"{registry.address}/moving:registry"
        make_image(engine, name, GOOD)
        first = push(engine, name)
        make_image(engine, name, {**GOOD, "network/notes": b"new"})
        second = push(engine, name)
        assert get(data_image=name, fetch="registry")["digest"] == second != first
        assert get(data_image=name, digest=first, fetch="registry")["digest"] == first

    @pytest.mark.parametrize("name", ["reference:absent", "absent:1", f"reference@sha256:{'0' * 64}"])
    def test_an_unknown_image_is_named(self, get, registry, name):
        with pytest.raises(ServerError, match="the registry has no manifest"):
            get(data_image=f"{registry.address}/{name}", fetch="registry")

    def test_what_an_image_lacks_is_named(self, engine, get, registry):
        name = f"{registry.address}/lacking:1"
        make_image(engine, name, {"network/graph.onnx": b"o", "network/train.ini": INI})
        push(engine, name)
        with pytest.raises(GraphError, match=r"has no graph\.pb, but .*'graph\.onnx'.*set it to graph\.onnx"):
            get(data_image=name, fetch="registry")


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


@pytest.mark.usefixtures("engine")
def test_the_operators_three_commands_as_written(registry, docker_engine, tator_server, tmp_path):
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


class TestMovedTag:
    @pytest.mark.parametrize("fetch", ["docker", "registry"])
    def test_a_moved_tag_is_noticed(self, engine, registry, tmp_path, fetch):
        name, memory = f"{registry.address}/watched:{fetch}", tmp_path / "tag.json"
        network = {"data_image": name, "archive": None, "digest": None, "fetch": fetch, "ca_file": None}
        said: list[str] = []
        make_image(engine, name, GOOD)
        first = push(engine, name)
        assert stored_digest(network, memory) is None
        assert [current_digest(network, memory, said.append) for _ in range(2)] == [first, first]
        make_image(engine, name, {**GOOD, "network/notes": b"new"})
        second = push(engine, name)
        assert stored_digest(network, memory) == first
        assert said == []
        assert current_digest(network, memory, said.append) == second == stored_digest(network, memory)
        assert len(said) == 1
        assert f"{name} was {first} and is now {second}" in said[0]
        for fixed in ({"data_image": f"{name}@{first}"}, {"digest": first}, {"archive": "net.tar"}):
            assert current_digest(network | fixed, memory, said.append) is None
        assert stored_digest(network | {"data_image": f"{registry.address}/other:1"}, memory) is None

    def test_a_registry_that_does_not_answer_changes_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr("scripts.lib.data_images.registry.PAUSE_SECONDS", 0.01)
        name, memory = "127.0.0.1:1/net:1", tmp_path / "tag.json"
        write_json(memory, {"data_image": name, "digest": "sha256:abc"})
        network = {"data_image": name, "archive": None, "digest": None, "fetch": "registry", "ca_file": None}
        said: list[str] = []
        assert current_digest(network, memory, said.append) == "sha256:abc"
        assert re.search("could not check whether its tag has moved: .*the registry fails", said[0])


class TestArchive:
    def test_what_docker_saves(self, get, saved, docker_engine):
        record = get(archive=saved / "one.tar")
        assert (record["source"], record["digest"]) == ("archive", None)
        assert record["image_id"] == docker_engine.client.images.get("saved:1").id
        assert get(archive=saved / "one.tar", digest=record["image_id"])["files"] == record["files"]
        with pytest.raises(GraphError, match=r"expected sha256:000"):
            get(archive=saved / "one.tar", digest="sha256:" + "0" * 64)

    @pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
    def test_packed_archives(self, get, saved, tmp_path, pack):
        (tmp_path / "packed").write_bytes(pack((saved / "one.tar").read_bytes()))
        assert get(archive=tmp_path / "packed")["files"] == get(archive=saved / "one.tar")["files"]

    def test_of_several_images_one_is_named(self, get, saved):
        with pytest.raises(SettingsError, match=r"holds 2 images: saved:1, saved:2; expected one: name it"):
            get(archive=saved / "two.tar")
        sizes = [
            get(archive=saved / "two.tar", data_image=f"saved:{label}")["files"]["train.ini"]["size"] for label in "12"
        ]
        assert sizes == [len(INI), len(INI) + 6]

    def test_what_make_pipeline_image_writes(self, engine, get, capsys, tmp_path):
        archive = tmp_path / "net.tar"
        digest = make(capsys, "--no-daemon", "--output", str(archive), "written:1")[1]
        record = get(archive=archive, digest=digest)
        assert record["digest"] == digest
        engine.images.load(archive.read_bytes())
        assert engine.images.get("written:1").id == record["image_id"]
        assert get(data_image="written:1", fetch="docker")["files"] == record["files"]

    def test_a_blob_that_was_changed_is_refused(self, get, saved, capsys, tmp_path):
        make(capsys, "--no-daemon", "--output", str(tmp_path / "net.tar"), "net:1")
        for path in (tmp_path / "net.tar", saved / "one.tar"):
            content = bytearray(path.read_bytes())
            content[content.index(GRAPH[1000:1100])] ^= 1
            (tmp_path / "changed.tar").write_bytes(content)
            with pytest.raises(GraphError, match="it was damaged or changed"):
                get(archive=tmp_path / "changed.tar")

    @pytest.mark.parametrize(
        ("content", "words"),
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
    def test_what_is_no_image_is_named(self, get, tmp_path, content, words):
        (tmp_path / "archive").write_bytes(content)
        with pytest.raises(GraphError, match=words):
            get(archive=tmp_path / "archive")

    def test_links_that_turn_in_a_circle_are_refused(self, get, tmp_path):
        link = tarfile.TarInfo("c")
        link.type, link.linkname = tarfile.SYMTYPE, "c"
        manifest = json.dumps([{"Config": "c", "RepoTags": None, "Layers": []}]).encode()
        (tmp_path / "archive").write_bytes(tar({"manifest.json": manifest, "c": link}))
        with pytest.raises(GraphError, match="c is missing in it"):
            get(archive=tmp_path / "archive")

    def test_a_missing_archive_is_named(self, get, tmp_path):
        with pytest.raises(GraphError, match=r"network\.archive: .*absent\.tar is not a file"):
            get(archive=tmp_path / "absent.tar")


def test_no_container_is_left(docker_engine):
    assert docker_engine.client.containers.list(all=True, sparse=True, filters={"label": docker_images.LABEL}) == []
