"""Plans of runs, messages for bad input before any job starts, and files that have to agree with one another."""

import base64
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from scripts.lib.workflow.configuration import engine_choice
from tests.conftest import SYNTHETIC
from tests.gpu_driver.strict import PYCUDA, TENSORRT
from tests.workflow import ROOT, snakemake

SETTINGS = yaml.safe_load((ROOT / "tests" / "data" / "settings.yaml").read_text())
SETTINGS["network"]["directory"] = str(ROOT / "tests" / "data" / "synthetic")


def test_a_dry_run_needs_no_network_and_no_token_and_shows_every_job(tmp_path):
    done = snakemake(tmp_path, "-n", settings=SETTINGS)
    assert done.returncode == 0, done.stdout
    jobs = set(re.findall(r"jobid: \d+", done.stdout))
    for rule in ("download_media", "detect", "upload_detections"):
        assert re.search(rf"^{rule} +3$", done.stdout, re.MULTILINE), done.stdout
    for media_id in (1, 2, 3):
        assert f"results/detections/{media_id}.csv" in done.stdout
    assert re.search(r"^total +20$", done.stdout, re.MULTILINE)
    assert len(jobs) == 20


@pytest.mark.parametrize("option", ["--list-rules", "--list-target"])
def test_commands_that_only_show_something_change_no_file(tmp_path, option):
    """The folder's media shared jobs, which the settings do not have any more."""
    for name in ("resources/batches/resolved_1.json", "resources/records/1.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    done = snakemake(tmp_path, option, settings=SETTINGS)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "resources/batches/resolved_1.json").exists()
    assert (tmp_path / "resources/records/1.json").exists()


def test_results_without_a_record_of_their_settings_are_made_again(tmp_path):
    """As in a copy of the folder without .snakemake: Snakemake alone would say that there is nothing to be done."""
    make_planned_files(tmp_path)
    again = snakemake(tmp_path, "-n", settings=SETTINGS)
    assert again.returncode == 0, again.stdout
    assert ".snakemake/metadata has no record of how" in again.stdout
    assert re.search(r"^detect +3$", again.stdout, re.MULTILINE), again.stdout


def test_a_media_s_result_without_a_record_is_made_again(tmp_path):
    """As after a power failure that damaged one record; the other files have theirs."""
    lost = "results/detections/2.csv"
    for name in make_planned_files(tmp_path) - {lost}:
        record = tmp_path / ".snakemake/metadata" / base64.urlsafe_b64encode(name.encode()).decode()
        record.parent.mkdir(exist_ok=True)
        record.write_text("{}")
    again = snakemake(tmp_path, "-n", settings=SETTINGS)
    assert f".snakemake/metadata has no record of how {lost} was made" in again.stdout, again.stdout
    assert re.search(r"^detect +1$", again.stdout, re.MULTILINE), again.stdout


def test_each_result_that_is_missing_is_made_again(tmp_path):
    """Snakemake makes no missing file again that no rule asks for."""
    exports = ("tracks", "counts", "parquet", "megadetector", "yolo", "cvat", "label_studio", "crops")
    settings = SETTINGS | {"export": dict.fromkeys(exports, True), "track": {"enabled": True}}
    done = snakemake(tmp_path, "-n", settings=settings)
    assert done.returncode == 0, done.stdout
    made, asked_for = (
        {name for names in re.findall(rf"^    {which}: (.+)$", done.stdout, re.MULTILINE) for name in names.split(", ")}
        for which in ("output", "input")
    )
    assert {"results/mot", "results/maxn.txt", "results/crops/1"} <= made
    assert made <= asked_for


def make_planned_files(folder):
    """Make all files that a run would make, of the same time; return their names."""
    planned = snakemake(folder, "-n", settings=SETTINGS)
    outputs = re.findall(r"^ {4}output: (.*)$", planned.stdout, re.MULTILINE)
    names = {name for files in outputs for name in re.sub(r" \(\w+\)", "", files).split(", ")}
    now = time.time()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
        os.utime(folder / name, (now, now))
    return names


def test_records_in_a_database_are_refused(tmp_path):
    """Otherwise a run whose media no longer share jobs could keep results that were made with other settings."""
    done = snakemake(tmp_path, "-n", "--persistence-backend", "db", settings=SETTINGS)
    assert done.returncode == 1
    assert "--persistence-backend: db is not supported" in done.stdout


def test_the_reference_workflows_environment_plans_a_run(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    environ = {
        "TATOR_MEDIA_IDS": "15,16",
        "TATOR_API_SERVICE": "http://127.0.0.1:9/rest",
        "TATOR_AUTH_TOKEN": "0" * 40,
        "TATOR_PROJECT_ID": "3",
        "TATOR_WORK_DIR": str(work),
        "TATOR_PIPELINE_ARGS": '{"data_image": "a/b", "img_max_side": 640, "img-min-side": 480, "type_id": 3}',
    }
    done = snakemake(tmp_path, "-n", environ=environ)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^detect +2$", done.stdout, re.MULTILINE)
    assert "0" * 40 not in done.stdout


def test_the_work_folder_of_the_environment(tmp_path):
    here, work = tmp_path / "here", tmp_path / "work"
    done = snakemake(here, "-n", settings=SETTINGS, environ={"TATOR_WORK_DIR": str(work)}, directory=False)
    assert done.returncode == 0, done.stdout
    assert (work / ".snakemake").is_dir()
    assert not (here / ".snakemake").exists()
    # A relative folder of the network is in it, also while the settings are checked.
    (work / "network").mkdir()
    (here / "network").mkdir()
    for name in ("graph.pb", "train.ini"):
        shutil.copy(SYNTHETIC / name, work / "network")
    (work / "network" / "train.ini").write_text("[Data]\nSpecies=cod\n[Detect]\nWidth=320\nHeight=180\n")
    settings = SETTINGS | {"network": {"directory": "network"}, "detect": {}}
    done = snakemake(here, "-n", settings=settings, environ={"TATOR_WORK_DIR": str(work)}, directory=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [("file", "'file' is not a folder"), ("file/x", "'file/x' does not exist"), ("~/run", "'~/run' begins with ~")],
)
def test_a_work_folder_that_cannot_be_made_is_one_clear_message(tmp_path, folder, complaint):
    (tmp_path / "file").touch()
    done = snakemake(tmp_path, "-n", settings=SETTINGS, environ={"TATOR_WORK_DIR": folder}, directory=False)
    assert (done.returncode, f"TATOR_WORK_DIR: {complaint}" in done.stdout) == (1, True), done.stdout
    assert "Snakefile" not in done.stdout.splitlines()[-1]


def test_tensorrt_builds_its_engine_before_it_detects(tmp_path):
    settings = SETTINGS | {
        "network": SETTINGS["network"] | {"graph": "graph.onnx"},
        "detect": SETTINGS["detect"] | {"engine": "tensorrt"},
    }
    folder = tmp_path / "network"
    folder.mkdir()
    for name in ("graph.onnx", "train.ini"):
        (folder / name).touch()
    settings["network"]["directory"] = str(folder)
    done = snakemake(tmp_path, "-n", settings=settings)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^build_engine +1$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"input: resources/network/engine.json, .*resources/network/graph.onnx", done.stdout)


def test_a_precision_that_the_engine_lacks_is_one_clear_message(tmp_path):
    settings = SETTINGS | {"detect": SETTINGS["detect"] | {"engine": "auto", "precision": "f16"}}
    done = snakemake(tmp_path, "-n", settings=settings, environ={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode != 0
    assert "openvino (auto: CUDA_VISIBLE_DEVICES hides the GPUs) does not have f16" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_relative_media_file_is_in_the_run_s_folder(tmp_path, tator_server):
    here, work = tmp_path / "here", tmp_path / "work"
    here.mkdir()
    work.mkdir()
    (work / "media.txt").write_text("2 # the second\n1\n")
    tator = {"host": tator_server.host, "project_id": tator_server.project_id, "media_file": "media.txt"}
    environ = {"TATOR_WORK_DIR": str(work), "TATOR_AUTH_TOKEN": tator_server.token}
    arguments = {"settings": SETTINGS | {"tator": tator}, "environ": environ, "directory": False}
    done = snakemake(here, "--until", "resolve_media", **arguments)
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in (work / "resources" / "records").iterdir()) == ["1.json", "2.json"]
    (here / "media.txt").write_text("3\n")
    planned = snakemake(here, "-n", **arguments | {"directory": True}).stdout  # --directory takes precedence
    assert re.findall(r"output: resources/records/(\d+).json", planned) == ["3"]
    (work / "media.txt").write_text("2\nx\n")
    done = snakemake(here, "-n", **arguments)
    assert done.returncode != 0
    assert f"tator.media_file: {work}/media.txt: line 2: 'x'; expected on each line one media id" in done.stdout
    assert "Traceback" not in done.stdout


def test_missing_token(tmp_path):
    done = snakemake(tmp_path, settings=SETTINGS)
    assert done.returncode != 0
    assert "the environment variable TATOR_AUTH_TOKEN is not set" in done.stdout
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"detect": {"img_max_side": 640, "img_min_side": 480, "keep_treshold": 0.5}},
            "did you mean 'keep_threshold'?",
        ),
        ({"tator": {"host": "http://127.0.0.1:9", "project_id": 3}}, r"tator.media_ids: [] is invalid"),
        ({"upload": {}}, "upload.localization_type_id: missing"),
    ],
)
def test_bad_settings_end_before_any_job(tmp_path, changes, message):
    done = snakemake(tmp_path, settings=SETTINGS | changes, environ={"TATOR_AUTH_TOKEN": "0" * 40})
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("upload: {version: Röd}".encode("latin-1"), "UnicodeDecodeError: 'utf-8' codec can't decode"),
        (b"upload: {version: 2024-13-45}", "ValueError: month must be in 1..12"),
        (b"detect: {}\n---\nmedia: {}\n", "Config file is not valid JSON or YAML"),
        (b"- detect\n", "Config file must be given as JSON or YAML with keys at top level"),
    ],
)
def test_snakemake_refuses_a_settings_file_as_documented(tmp_path, content, message):
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    done = snakemake(tmp_path, "-n", "--configfile", str(path))
    assert done.returncode == 1, done.stdout
    assert message in done.stdout
    assert message in (ROOT / "config" / "README.md").read_text()


@pytest.mark.parametrize(("variable", "value"), [("TATOR_PATIENCE_SECONDS", "3 min"), ("TATOR_ANSWER_SECONDS", "inf")])
def test_a_variable_of_seconds_is_checked_before_any_job(tmp_path, variable, value):
    done = snakemake(tmp_path, "-n", settings=SETTINGS, environ={variable: value})
    assert done.returncode == 1, done.stdout
    assert f"{variable} is '{value}'; expected a number of seconds, 0 or more, such as 1" in done.stdout


def test_a_section_that_is_given_twice_ends_the_run(tmp_path):
    """Snakemake would use the last one only."""
    path = tmp_path / "my.yaml"
    path.write_text("detect: {keep_threshold: 0.5}\nmedia: {}\ndetect: {batch_size: 8}\n")
    done = snakemake(tmp_path, "-n", "--configfile", str(path))
    assert done.returncode == 1, done.stdout
    assert f"{path}: 'detect' is given twice (lines 1 and 3); join the two" in done.stdout


def test_every_script_is_a_rule_and_every_rule_a_script():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = set(re.findall(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE))
    shared = set(re.findall(r'f"(\w+)_\{media_ids\[0\]\}"$', text, re.MULTILINE))
    assert shared == {"resolve_many", "list_many", "detect_many", "upload_many", "track_many", "upload_tracks_many"}
    # Rules of shared jobs run the scripts of the rules for one media: resolve_media, list_media, ...
    rules -= {"detect_part"}  # runs detect.py in one part of a video
    named = set(re.findall(r"scripts/(\w+)\.py", text))
    programs = {path.stem for path in (ROOT / "scripts" / "commands").glob("[!_]*.py")}
    assert rules == named
    assert rules == {path.stem for path in (ROOT / "scripts").glob("[!_]*.py")} - programs


@pytest.mark.parametrize(
    ("network", "detect", "rules", "graph"),
    [
        ({}, {}, set(), "graph.pb"),
        ({}, {"engine": "onnxruntime"}, {"convert_network"}, "converted/graph.onnx"),
        ({"graph": "graph.onnx"}, {"engine": "onnxruntime"}, set(), "graph.onnx"),
        ({}, {"engine": "tensorrt"}, {"convert_network", "build_engine"}, "converted/graph.onnx"),
        ({}, {"precision": "int8"}, {"quantize_network"}, "int8/graph.xml"),
        ({"graph": "graph.onnx"}, {"precision": "int8"}, {"quantize_network"}, "int8/graph.xml"),
    ],
)
def test_the_network_is_converted_and_quantized_only_if_necessary(tmp_path, network, detect, rules, graph):
    settings = SETTINGS | {"network": SETTINGS["network"] | network, "detect": SETTINGS["detect"] | detect}
    folder = tmp_path / "network"
    folder.mkdir()
    for name in ("graph.pb", "graph.onnx", "train.ini"):
        (folder / name).touch()
    settings["network"]["directory"] = str(folder)
    done = snakemake(tmp_path, "-n", settings=settings)
    assert done.returncode == 0, done.stdout
    planned = set(re.findall(r"^(convert_network|quantize_network|build_engine) +1$", done.stdout, re.MULTILINE))
    assert planned == rules
    [inputs] = set(
        re.findall(r"^rule detect:\n    input: .*?(resources/network/\S*graph\.\w+),", done.stdout, re.MULTILINE)
    )
    assert inputs == f"resources/network/{graph}"


def test_environments_agree_with_the_locks():
    lock = defaultdict(set)  # a package may have a version for each range of Python's
    # Packages for machines with a GPU are in no lock but in the last file.
    for pins in (
        "requirements.lock",
        "requirements-demo.lock",
        "requirements-dev.lock",
        "requirements-kubernetes.lock",
        "requirements-convert.lock",
        "requirements-slurm.lock",
        "requirements-clusters.lock",
        "tests/gpu/requirements.lock",
        "tests/gpu/requirements-pycuda.lock",
        "tests/gpu/requirements-onnxruntime.lock",
        "tests/gpu/requirements.txt",
    ):
        found = defaultdict(set)
        for name, version in re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / pins).read_text(), re.MULTILINE):
            found[name].add(version)
        assert {name for name in found.keys() & lock.keys() if not found[name] & lock[name]} == set(), pins
        lock |= found
    for path in sorted(Path(ROOT / "envs").glob("*.yaml")):
        *others, pip = yaml.safe_load(path.read_text())["dependencies"]
        others = [package.replace(" =", "==") for package in others if package.split()[0] not in ("python", "pip")]
        assert pip["pip"]
        for package in [*others, *pip["pip"]]:
            name, version = package.split("==")
            assert version in lock[name.lower()], f"{path.name}: {package}"


def test_each_package_that_is_installed_has_a_hash_and_the_base_a_digest():
    locks = [*ROOT.glob("requirements*.lock"), *ROOT.glob("tests/*/*.lock")]
    assert len(locks) == 12
    for path in locks:
        for package in re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE):
            assert not package.strip() or "--hash=sha256:" in package, f"{path.name}: {package}"
    pins = (ROOT / "tests/gpu/requirements.txt").read_text()
    required = {re.sub(r"\[.*\]", "", line) for line in pins.splitlines() if line[:1] != "#"}
    locked = "".join(path.read_text() for path in (ROOT / "tests/gpu").glob("*.lock"))
    assert {line for line in required if f"{line} " not in locked} == set()
    for path in (ROOT / "deploy/Dockerfile", ROOT / "Makefile"):
        for install in re.findall(r"-m pip install.*", path.read_text()):
            assert "--require-hashes" in install, f"{path.name}: {install}"
    assert re.findall(r"(tool.*run\b.*)", (ROOT / "deploy/licences.py").read_text()) == []  # it takes no hashes
    docker = (ROOT / "deploy/Dockerfile").read_text()
    assert re.search(r"^ARG BASE$", docker, re.MULTILINE)
    assert 'case "${BASE}" in *@sha256:*) ;;' in docker


def test_the_image_imports_nothing_from_a_run_s_folder():
    joined = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    assert "PYTHONSAFEPATH=1" in re.search(r"^ENV (.*)$", joined, re.MULTILINE)[1].split()


def test_the_stand_ins_have_the_installed_versions():
    pins = (ROOT / "tests/gpu/requirements.txt").read_text()
    assert re.search(r"^tensorrt-cu12==(.+)$", pins, re.MULTILINE)[1] == TENSORRT[-1]
    assert re.search(r"^pycuda==(.+)$", pins, re.MULTILINE)[1] == PYCUDA
    assert [version.split(".")[0] for version in TENSORRT] == ["10", "11"]


def test_the_image_for_tensorrt_has_the_packages_that_auto_needs():
    names = set()
    for pins in ("requirements-kubernetes.lock", "tests/gpu/requirements.txt"):
        names |= {
            name.removesuffix("-cu12") for name in re.findall(r"^([a-z0-9-]+)==", (ROOT / pins).read_text(), re.M)
        }
    assert names >= set(engine_choice._PACKAGES)


def test_the_gpu_tests_are_collected_only_if_named():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    collected = subprocess.run([*command, "tests/gpu"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in ("test_tensorrt.py::test_boxes_equal_those_of_openvino[f16]", "test_onnxruntime.py", "test_nvdec.py"):
        assert name in collected.stdout
    assert (
        "tests/gpu"
        in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["norecursedirs"]
    )


def test_the_graph_in_the_documents_is_that_of_snakemake(tmp_path):
    done = snakemake(tmp_path, "--rulegraph", "mermaid-js", "--quiet", settings=SETTINGS)
    assert done.returncode == 0, done.stdout
    made = edges(done.stdout)
    assert ("detect", "upload_detections") in made
    assert edges((ROOT / "docs" / "architecture.md").read_text()) == made


def edges(mermaid):
    """Return the arrows of a diagram, by the rules' names."""
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", mermaid))
    return {(names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", mermaid)}


@pytest.mark.parametrize("setting", ["detect", "token", "folder"])
def test_errors_of_planning_are_messages_without_lines_of_code(tmp_path, setting):
    settings = {
        "tator": {"host": "http://127.0.0.1:1", "project_id": 1, "media_ids": [1]},
        "network": {"directory": str(SYNTHETIC)},
        "detect": {"img_max_side": 320, "img_min_side": 180},
        "upload": {"localization_type_id": 1},
    }
    if setting == "detect":
        settings["detect"]["keep_treshold"] = 0.5
    if setting == "folder":
        settings["network"]["directory"] = "nowhere"
    expected = {
        "detect": "detect.keep_treshold: unknown key; did you mean 'keep_threshold'?",
        "token": "the environment variable TATOR_AUTH_TOKEN is not set; expected the API token",
        "folder": f"network.directory: 'nowhere' does not exist (looked for at {tmp_path}/nowhere)",
    }[setting]
    for _ in range(2):  # the first run must not leave a lock
        done = snakemake(tmp_path, settings=settings)
        assert done.returncode == 1
        assert done.stdout.count(expected) == 1, done.stdout
        assert ", line " not in done.stdout
        assert "Traceback" not in done.stdout
