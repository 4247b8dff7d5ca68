"""Data images as make_pipeline_image makes them, with and without a Docker engine, and as get_network reads them."""

import errno
import os
import subprocess
import sys
import tempfile

import pytest

from scripts.commands import make_pipeline_image
from scripts.commands.make_pipeline_image import main
from scripts.lib.errors import SettingsError
from scripts.lib.workflow.jobs import job
from tests.docker_engine import forget, registry_or_skip
from tests.scripts.data_image_steps import INI, MAKE, ROOT, SYNTHETIC, engine, get, make

__all__ = ["engine", "get"]


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.parametrize("fetch", ["docker", "registry"])
@pytest.mark.parametrize("how", [[], ["--no-daemon"]], ids=["engine", "no engine"])
def test_images_made_with_and_without_an_engine_are_fetched_both_ways(engine, get, registry, capsys, how, fetch):  # noqa: PLR0917
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


def test_the_same_input_gives_the_same_digest(engine, registry, capsys, tmp_path):
    names = [f"{registry.address}/same:{number}" for number in (1, 2)]
    alone = [make(capsys, "--no-daemon", "--publish", name)[1] for name in names]
    by_engine = [make(capsys, "--publish", name)[1] for name in names]
    assert alone[0] == alone[1]
    assert by_engine[0] == by_engine[1]
    files = [tmp_path / name for name in "ab"]
    for file in files:
        assert make(capsys, "--no-daemon", "--output", str(file), "same:1")[1] == alone[0].partition("@")[2]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_labels_name_the_contents(engine, capsys):
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
def test_a_size_other_than_the_label_s_is_a_warning(  # noqa: PLR0917
    engine, get, registry, capsys, tmp_path, monkeypatch, source
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


@pytest.mark.parametrize("has_size", [True, False])
def test_the_size_of_the_label_is_that_of_openem_s_train_ini(get, capsys, tmp_path, has_size):
    ini, archive = tmp_path / "train.ini", tmp_path / "sized.tar"
    ini.write_bytes(INI + (b"\n[Detect]\nWidth=640\nHeight=360\n" if has_size else b""))
    arguments = [*MAKE[:2], "--train-ini", str(ini), "--no-daemon", "--output", str(archive), "sized:1"]
    assert main(arguments) == 0
    assert ("no size is known; with --img-max-side" in capsys.readouterr().err) != has_size
    unset = {"img_max_side": None, "img_min_side": None}
    if has_size:
        assert get(archive=archive, **unset)["size"] == [640, 360]
    else:
        with pytest.raises(SettingsError, match=r"set detect\.img_max_side"):
            get(archive=archive, **unset)


def test_the_network_that_is_read_is_not_replaced(capsys, tmp_path):
    for name in ("graph.pb", "train.ini"):
        (tmp_path / name).write_bytes((SYNTHETIC / name).read_bytes())
        graph = str(tmp_path / "graph.pb")
    for name in ("graph.pb", "train.ini"):
        assert main(["--graph-pb", graph, "--no-daemon", "--output", str(tmp_path / name), "net:1"]) == 1
        assert f"--output: {tmp_path / name} is the file that is read; exp" in capsys.readouterr().err
        assert (tmp_path / name).read_bytes() == (SYNTHETIC / name).read_bytes()


def test_a_train_ini_that_cannot_be_read_is_named_as_given(capsys, tmp_path):
    (tmp_path / "names.txt").write_text("cod\n")
    for name, message in (("names.txt", "has no section [Data]"), ("gone.ini", "cannot be read (No such file")):
        path = str(tmp_path / name)
        assert main([*MAKE[:2], "--train-ini", path, "--no-daemon", "--output", str(tmp_path / "o"), "net:1"]) == 1
        assert capsys.readouterr().err.startswith(f"{path}: {message}")


def test_a_full_disk_of_temporary_files_is_named(capsys, tmp_path, monkeypatch):
    def build(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(make_pipeline_image, "build", build)
    assert main([*MAKE, "--no-daemon", "--output", str(tmp_path / "o"), "net:1"]) == 1
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith(f"{tempfile.gettempdir()}/make_pipeline_image-")
    assert complaint.endswith(": No space left on device")


@pytest.mark.parametrize("names", ["cod,flatfish", "cod,flatfish,crab,eel"])
def test_a_graph_and_a_train_ini_with_other_numbers_of_classes_are_refused(capsys, tmp_path, names):
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
    complaint = capsys.readouterr().err
    assert "graph.pb scores 3 classes, " in complaint
    assert f"train.ini names {names.count(',') + 1} (cod, " in complaint
    assert not (tmp_path / "o").exists()


def test_a_graph_of_one_size_and_batch_is_accepted(capsys, tmp_path):
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
        constants.append(helper.make_tensor(f"ones_{name}", TensorProto.FLOAT, [1, 2, columns], [1.0] * 2 * columns))
    graph = helper.make_graph(nodes, "net", [values["input"]], [values["boxes"], values["scores"]], constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "graph.onnx")
    arguments = ["--graph-onnx", str(tmp_path / "graph.onnx"), *MAKE[2:], "--no-daemon"]
    assert main([*arguments, "--output", str(tmp_path / "o"), "net:1"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--graph-pb", str(SYNTHETIC / "train.ini"), "--output", "o", "net:1"], "cannot read it"),
        (["--graph-pb", "absent.pb", "--output", "o", "net:1"], "is not a file"),
        (["--output", "o", "net:1"], "no graph is given"),
        ([*MAKE, "net:1"], "the image would be lost"),
        ([*MAKE, "--output", "o", "net:1@sha256:" + "0" * 64], "without a digest"),
        ([*MAKE, "--output", "o", "Net"], "in lower case"),
    ],
)
def test_wrong_arguments_are_named_and_the_exit_code_is_1(capsys, arguments, message):
    assert main(["--no-daemon", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_an_unreachable_registry_is_a_failure(engine, capsys, monkeypatch):
    monkeypatch.setattr("scripts.lib.data_images.registry.PAUSE_SECONDS", 0.01)
    for how in ([], ["--no-daemon"]):
        code, _, complaint = make(capsys, *how, "--publish", "127.0.0.1:1/net:1")
        assert code == 1
        assert "127.0.0.1:1/net:1" in complaint


def test_without_an_engine_the_remedy_is_named(no_engine, capsys):
    code, _, complaint = make(capsys, "net:1")
    assert code == 1
    assert "no Docker engine can be reached" in complaint
    assert "or add --no-daemon" in complaint
    assert "network.directory" not in complaint


def test_a_missing_certificate_is_named_with_this_command_s_option(capsys):
    arguments = ["--no-daemon", "--ca-file", "absent.pem", "--publish", "localhost:1/net:1"]
    code, _, complaint = make(capsys, *arguments)
    assert code == 1
    assert complaint.splitlines()[-1].startswith("--ca-file: absent.pem is not a file")


@pytest.mark.docker
def test_an_untrusted_certificate_is_named_with_this_command_s_option(capsys):
    with registry_or_skip(tls=True, basic=True) as private:
        code, _, complaint = make(capsys, "--no-daemon", "--publish", f"{private.address}/net:1")
    assert code == 1
    assert "name its authority's certificate in --ca-file" in complaint


def test_the_command_runs_in_any_folder(tmp_path):
    command = [sys.executable, str(ROOT / "scripts/commands/make_pipeline_image.py"), *MAKE, "--no-daemon"]
    command += ["--output", "net.tar", "net:1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("sha256:")
    assert (tmp_path / "net.tar").is_file()
