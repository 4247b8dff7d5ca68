"""The command detect_folder: the settings that it writes, and its messages."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.commands.detect_folder import link_network, main
from scripts.lib.graphs import external
from scripts.lib.workflow.processes import interrupts
from tests.conftest import SYNTHETIC
from tests.workflow import ROOT

ODD = Path(__file__).parents[1] / "data" / "odd"
OPTIONS = ["--network", str(SYNTHETIC), "--size", "320x180"]


@pytest.fixture
def survey(tmp_path, monkeypatch):
    """Return a folder with a picture; the working directory is its parent, and the environment names a Tator site."""
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey" / "a.jpg").write_bytes(b"\xff\xd8\xff" + bytes(20))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TATOR_API_SERVICE", "https://tator.example.org")
    monkeypatch.setenv("TATOR_PROJECT_ID", "3")
    return tmp_path / "survey"


def written(folder, name="settings.yaml"):
    return yaml.safe_load((folder / name).read_text())


@pytest.mark.jobs
def test_the_settings_are_written_and_the_plan_is_shown(survey):
    environ = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.commands.detect_folder", "survey", *OPTIONS, "--dry-run"]

    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "settings: survey_detections/settings.dry-run.yaml" in done.stderr
    assert f"{survey}: 1 media" in done.stdout + done.stderr
    assert "\nreport: " not in done.stdout
    assert written(survey.with_name("survey_detections"), "settings.dry-run.yaml") == {
        "media": {"per_job": "auto", "folder": str(survey)},
        "network": {"directory": str(SYNTHETIC), "graph": "graph.pb"},
        "detect": {"img_max_side": 320, "img_min_side": 180},
    }


def test_settings_already_in_the_file_are_kept(survey, tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    out = tmp_path / "out"
    out.mkdir()
    (out / "settings.yaml").write_text("detect: {keep_threshold: 0.6, batch_size: 8}\nreport: {media_in_detail: 3}\n")
    arguments = ["survey", *OPTIONS, "--out", str(out)]
    assert main([*arguments, "--export", "yolo", "--export", "cvat"]) == 0
    found = written(out)
    assert found["detect"] == {"keep_threshold": 0.6, "batch_size": 8, "img_max_side": 320, "img_min_side": 180}
    assert found["report"] == {"media_in_detail": 3}
    assert found["export"] == {"yolo": True, "cvat": True}
    assert main([*arguments, "--threshold", "0.5", "--export", "yolo", "cvat"]) == 0
    assert written(out)["detect"]["keep_threshold"] == 0.5
    assert written(out)["export"] == {"yolo": True, "cvat": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detect: {keep_threshold: 0.5}\ndetect: {batch_size: 8}\n", "'detect' is given twice (lines 1 and 2); join"),
        ("detect: {batch_size: 010}\n", "line 1: 010 is the number 8 in YAML; write 10 or 8"),
    ],
)
def test_settings_that_would_be_misread_are_not_lost(survey, tmp_path, capsys, text, message):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "settings.yaml"
    path.write_text(text)
    assert main(["survey", *OPTIONS, "--out", str(tmp_path / "out")]) == 1
    assert f"{path}: cannot be read as YAML ({message}" in capsys.readouterr().err
    assert path.read_text() == text


def test_a_dry_run_leaves_the_settings_of_the_next_run_as_they_are(survey, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda command, _: commands.append(command) or 0)
    arguments = ["survey", *OPTIONS, "--out", "out"]
    assert main([*arguments, "--threshold", "0.5"]) == 0
    before = written(tmp_path / "out")
    assert main([*arguments, "--dry-run", "--threshold", "0.9", "--export", "crops"]) == 0
    assert written(tmp_path / "out") == before
    planned = commands[1][commands[1].index("--configfile") + 1]
    assert planned == str(tmp_path / "out" / "settings.dry-run.yaml")
    shown = written(tmp_path / "out", "settings.dry-run.yaml")
    assert (shown["detect"]["keep_threshold"], shown["export"]) == (0.9, {"crops": True})


def test_variables_of_runs_in_tator_are_not_passed_on(survey, monkeypatch):
    environs = []
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda _, environ: environs.append(environ) or 0)
    monkeypatch.setenv("TATOR_METRICS_FILE", "/var/lib/node_exporter/tator.prom")
    assert main(["survey", *OPTIONS]) == 0
    [environ] = environs
    assert "TATOR_METRICS_FILE" in environ
    assert not {"TATOR_API_SERVICE", "TATOR_PROJECT_ID"} & environ.keys()


@pytest.fixture
def out(tmp_path):
    """Return the folder of an earlier run, with its page and the log of its last job."""
    for name in ("results/overview.html", "logs/conclude.log"):
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1e9, 1e9))
    return tmp_path / "out"


# With code 0 there may be nothing to do; wrong settings give the same code as a damaged media.
@pytest.mark.parametrize(("code", "concludes", "named"), [(0, False, True), (1, True, True), (1, False, False)])
@pytest.mark.usefixtures("survey")
def test_the_page_is_named_only_if_the_run_ended(out, monkeypatch, code, concludes, named):
    def run(*_):
        if concludes:
            (out / "logs/conclude.log").touch()
        return code

    written_to: list[str] = []
    monkeypatch.setattr(interrupts, "run_to_its_end", run)
    monkeypatch.setattr(sys.stdout, "write", written_to.append)
    assert main(["survey", *OPTIONS, "--out", str(out)]) == code
    assert written_to == [f"report: {out}/results/overview.html\n"] * named


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--tiles", "0x0", "detect.tiles.width: 0 is invalid; expected a whole number from 32"),
        ("--threshold", "5", "detect.keep_threshold: 5.0 is invalid; expected a number from 0 to 1"),
        ("--size", "640x9", "detect.img_min_side: 9 is invalid; expected a whole number from 32"),
    ],
)
@pytest.mark.usefixtures("survey")
def test_a_refused_option_is_not_stored(monkeypatch, capsys, option, value, message):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    options = OPTIONS[:2] if option == "--size" else OPTIONS
    assert main(["survey", *options, "--out", "out", option, value]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out/settings.yaml").exists()


@pytest.mark.usefixtures("survey")
def test_settings_of_a_matched_run_are_checked_without_its_media_file(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.yaml").write_text(
        "tator: {media_file: in-the-folder-of-the-run.csv}\nupload: {localization_type_id: 31, match: name}\n"
    )
    assert main(["survey", *OPTIONS, "--out", "out"]) == 0


@pytest.mark.parametrize(("argument", "value"), [("auto", "auto"), ("640x480", {"width": 640, "height": 480})])
def test_tiles_are_written_into_the_settings(survey, tmp_path, monkeypatch, argument, value):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    assert main(["survey", *OPTIONS, "--out", str(tmp_path / "out"), "--tiles", argument]) == 0
    assert written(tmp_path / "out")["detect"]["tiles"] == value


def test_a_graph_of_another_name_is_linked(survey, tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    network = tmp_path / "models"
    network.mkdir()
    (network / "reef.pb").write_bytes((SYNTHETIC / "graph.pb").read_bytes())
    arguments = ["survey", "--network", str(network / "reef.pb"), "--size", "320x180", "--out", "out"]
    assert main(arguments) == 1  # without train.ini
    (network / "train.ini").write_bytes((SYNTHETIC / "train.ini").read_bytes())
    assert main(arguments) == 0
    folder = tmp_path / "out" / "network"
    assert written(tmp_path / "out")["network"] == {"directory": str(folder), "graph": "graph.pb"}
    assert {path.name: path.resolve() for path in folder.iterdir()} == {
        "graph.pb": network / "reef.pb",
        "train.ini": network / "train.ini",
    }


def test_another_network_does_not_get_the_size_of_the_last_one(survey, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    for name in ("reef.onnx", "kelp.onnx"):
        (tmp_path / name).touch()
    reef, kelp = (["survey", "--network", name, "--out", "out"] for name in ("reef.onnx", "kelp.onnx"))
    assert main([*reef, "--size", "640x480", "--threshold", "0.5"]) == 0
    assert main(reef) == 0
    size = {"img_max_side": 640, "img_min_side": 480}
    assert written(tmp_path / "out")["detect"] == size | {"keep_threshold": 0.5}
    assert main([*kelp, "--dry-run"]) == 0
    assert written(tmp_path / "out")["detect"] == size | {"keep_threshold": 0.5}
    assert main([*kelp, "--threshold", "5"]) == 1
    capsys.readouterr()
    assert main(kelp) == 0
    message = f"the size of the last network ({tmp_path / 'reef.onnx'}) is not used; --size sets another"
    assert message in capsys.readouterr().err
    assert written(tmp_path / "out")["detect"] == {"keep_threshold": 0.5}


def test_weights_in_another_file_are_linked_too(tmp_path):
    network = tmp_path / "models"
    network.mkdir()
    (network / "reef.onnx").write_bytes((ODD / "onnx_external" / "graph.onnx").read_bytes())
    (network / "graph.onnx.data").write_bytes((ODD / "onnx_external" / "graph.onnx.data").read_bytes())
    link_network(network / "reef.onnx", tmp_path / "out")
    assert external.weight_files_in_folder(tmp_path / "out" / "network" / "graph.onnx") == ["graph.onnx.data"]


@pytest.mark.parametrize(
    ("folder", "out"),
    [
        ("./-survey", "-survey_detections"),
        ("survey {2024}", "survey _2024__detections"),
        ("survey/../survey/cam", "cam_detections"),
        (os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9_detections")),
    ],
)
def test_unusual_names_of_folders(survey, tmp_path, monkeypatch, folder, out):
    commands = []
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda command, _: commands.append(command) or 0)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict"))
    (tmp_path / folder).mkdir(exist_ok=True, parents=True)
    page = tmp_path / out / "results" / "overview.html"
    page.parent.mkdir(parents=True)
    page.touch()
    network = tmp_path / "reef.pb"
    for path in (network, tmp_path / "train.ini"):
        path.touch()
    assert main([folder, "--network", "reef.pb", "--size", "320x180"]) == 0
    assert written(tmp_path / out)["media"]["folder"] == str((tmp_path / folder).resolve())
    assert written(tmp_path / out)["network"]["directory"] == str(tmp_path / out / "network")
    [command] = commands
    assert command[command.index("--directory") + 1] == str(tmp_path / out)
    assert command[command.index("--configfile") + 1] == str(tmp_path / out / "settings.yaml")


def test_the_folder_above_gives_the_results_its_name(survey, monkeypatch):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    (survey / "cam").mkdir()
    monkeypatch.chdir(survey / "cam")
    assert main(["..", *OPTIONS]) == 0
    assert written(survey / "cam" / "survey_detections")["media"]["folder"] == str(survey)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", *OPTIONS], "nowhere: is not a folder; expected one with pictures or videos"),
        (["survey", "--network", "gone.pb"], "gone.pb does not exist; expected a graph, or a folder with one"),
        (["survey", "--network", "."], "contains no graph.pb, graph.onnx or graph.xml; name the file to use"),
        (["survey", "--network", "survey/README"], "survey/README has no ending; expected .pb, .onnx or .xml"),
        (["survey", "--network", "survey/a.jpg"], "ends in '.jpg'; expected .pb, .onnx or .xml"),
    ],
)
def test_wrong_arguments_are_one_clear_message(survey, capsys, arguments, message):
    (survey / "README").touch()
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("cores", ["-1", "0"])
def test_less_than_one_core_is_refused(monkeypatch, capsys, cores):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    with pytest.raises(SystemExit):
        main(["survey", *OPTIONS, "--cores", cores])
    assert f"--cores: '{cores}' is not a whole number of at least 1" in capsys.readouterr().err


def test_a_folder_with_two_graphs_needs_a_choice(survey, capsys):
    for name in ("graph.pb", "graph.onnx"):
        Path(name).touch()
    assert main(["survey", "--network", "."]) == 1
    assert "--network: . contains 2 graphs (graph.pb, graph.onnx); name one of them" in capsys.readouterr().err


def test_two_folders_of_one_name_do_not_share_results(survey, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    other = tmp_path / "other" / "survey"
    other.mkdir(parents=True)
    assert main(["survey", *OPTIONS]) == 0
    assert main([str(other), *OPTIONS]) == 1
    message = f"survey_detections holds the results of {survey}; name another folder with --out"
    assert message in capsys.readouterr().err
    assert main([f"{survey.parent}/./survey", *OPTIONS]) == 0
    assert main([str(other), *OPTIONS, "--out", "other_detections"]) == 0
    survey.rename(survey.with_name("moved"))
    assert main([str(other), *OPTIONS]) == 0
    assert written(tmp_path / "survey_detections")["media"]["folder"] == str(other)


def test_a_graph_that_names_its_classes_needs_no_size_and_no_train_ini(survey, tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "run_to_its_end", lambda *_: 0)
    network = tmp_path / "models"
    network.mkdir()
    for name in ("reef.onnx", "names.txt"):
        (network / name).write_bytes(b"x")
    assert main(["survey", "--network", str(network / "reef.onnx"), "--out", "out"]) == 0
    assert {path.name for path in (tmp_path / "out" / "network").iterdir()} == {"graph.onnx", "names.txt"}
    assert "detect" not in written(tmp_path / "out")
