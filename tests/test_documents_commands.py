"""The commands of README and docs work as written."""

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import tator
import yaml

from scripts.lib.registering import manifest
from scripts.lib.workflow.jobs import sandbox
from tests import documents
from tests.documents import block, inline
from tests.needs import lacking
from tests.onnx_graph import write_onnx
from tests.tator_server.launch import Server, running
from tests.workflow import CLUSTERS, ROOT

NETWORK = ROOT / "tests" / "data" / "synthetic"


# What CI does once for all tests.
SET_UP = "make setup && . .venv/bin/activate"


EXPORT = 'export TATOR_AUTH_TOKEN="$TOKEN"\n'


def shell(commands: str, folder: Path, **environ: str) -> str:
    """Run commands as a shell does, without this machine's token; return their output."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("TATOR_AUTH")}
    own["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e"],
        input=commands,
        cwd=folder,
        env=own | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Clone:
    """A folder that looks like a fresh clone, in which a shell runs commands of the documents."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        for name in ("Snakefile", "config", "deploy", "examples", "profiles", "rules", "scripts", "reports", "envs"):
            (folder / name).symlink_to(ROOT / name)
        self.folder, self.server = folder, server

    def run(self, commands: str, **environ: str) -> str:
        """Run commands as a shell does; return their output."""
        return shell(commands, self.folder, TOKEN=self.server.token if self.server else "", **environ)

    def found(self) -> list[dict[str, Any]]:
        """Return the boxes in Tator."""
        assert self.server is not None
        api = tator.get_api(self.server.host, self.server.token)
        return list(api.get_localization_list(self.server.project_id))

    def boxes(self) -> list[str]:
        """Return the elemental ids of the boxes in Tator."""
        return sorted(box["elemental_id"] for box in self.found())


@pytest.fixture(scope="module")
def run_of_readme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clone, str]]:
    """Run README's commands with its settings; yield the clone and the output."""
    base = tmp_path_factory.mktemp("readme")
    (base / "media").mkdir()
    for name in ("clip_910001.mp4", "clip_910002.mp4"):
        shutil.copy(NETWORK / name, base / "media")
    folder = base / "clone"
    folder.mkdir()
    with running(base / "media", base / "state") as server:
        clone = Clone(folder, server)
        [settings] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        own = {
            "https://tator.example.org": server.host,
            "project_id: 4": f"project_id: {server.project_id}",
            "[15, 16, 22]": str(list(server.media)),
            "/data/networks/fish": str(NETWORK),
            "1280": "320",
            "720": "180",
            "localization_type_id: 3": f"localization_type_id: {server.localization_type_id}",
        }
        (folder / "my.yaml").write_text(replaced(settings, own))
        commands = block("README.md", "snakemake --configfile my.yaml -n")
        yield clone, clone.run(replaced(commands, {SET_UP: "", "=...": '="$TOKEN"'}))


def replaced(text: str, own: dict[str, str]) -> str:
    """Replace a document's examples, each of which has to be in the text, by the site's values."""
    for example, value in own.items():
        assert example in text, example
        text = text.replace(example, value)
    return text


@pytest.mark.service
def test_readme_s_settings_and_commands(run_of_readme: tuple[Clone, str]) -> None:
    clone, output = run_of_readme
    assert "This was a dry-run" in output
    assert clone.boxes()
    assert (clone.folder / "results" / "overview.html").exists()


@pytest.mark.service
def test_commands_for_comparing_and_watching(run_of_readme: tuple[Clone, str], tmp_path: Path) -> None:
    """Two runs' folders, two versions, and the progress of a run."""
    done, _ = run_of_readme
    server, clone = done.server, Clone(tmp_path, done.server)
    (tmp_path / "runs").mkdir()
    for name in ("old", "new"):
        (tmp_path / "runs" / name).symlink_to(done.folder)
    [version] = {box["version"] for box in done.found()}
    own = {
        "version:12": f"version:{version}",
        "version:14": f"version:{version}",
        "https://tator.example.org": server.host,
        "--project 4": f"--project {server.project_id}",
        "--type 3": f"--type {server.localization_type_id}",
        "15 16": " ".join(map(str, server.media)),
    }
    clone.run(EXPORT + replaced(block("docs/report.md", "python -m scripts.commands.compare_runs"), own))
    assert (tmp_path / "comparison" / "compare.html").exists()
    watch = replaced(inline("docs/report.md", "python -m scripts.commands.watch_run"), {"FOLDER": str(done.folder)})
    assert "2 of 2 media" in clone.run(f"{watch} --once")


@pytest.mark.service
def test_commands_for_running_again(run_of_readme: tuple[Clone, str], tmp_path: Path) -> None:
    """With selected media, in the project and the version of README's run."""
    page, server = (ROOT / "docs" / "running.md").read_text(), run_of_readme[0].server
    clone = Clone(tmp_path, server)
    own = {"https://tator.example.org": server.host, "--project 4": f"--project {server.project_id}"}
    select = block("docs/running.md", "python -m scripts.commands.select_media")
    select = replaced(select, {**own, "--section 12 --unprocessed": "--name clip"})
    unlock = block("docs/running.md", "snakemake --unlock")
    assert block("docs/faults.md", "snakemake --unlock") == unlock
    settings = {
        "tator": {"host": server.host, "project_id": server.project_id, "media_file": "media.txt"},
        "network": {"directory": str(NETWORK)},
        "detect": {"img_max_side": 320, "img_min_side": 180, "max_frames": 2},
        "upload": {"localization_type_id": server.localization_type_id},
    }
    (clone.folder / "my.yaml").write_text(yaml.safe_dump(settings))
    clone.run(EXPORT + select + unlock)
    forced = re.findall(r"`(--forcerun \w+)`", page)
    assert len(forced) == 2
    boxes = clone.boxes()
    assert boxes
    for option in forced:
        clone.run(f"{EXPORT}snakemake --configfile my.yaml {option}")
    assert clone.boxes() == boxes


@pytest.fixture
def clone(run_of_readme: tuple[Clone, str], tmp_path: Path) -> Clone:
    """Return a fresh clone with README's `my.yaml`, for the same site."""
    done, _ = run_of_readme
    shutil.copy(done.folder / "my.yaml", tmp_path)
    return Clone(tmp_path, done.server)


def test_commands_for_detecting_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "survey").mkdir()
    video = cv2.VideoCapture(str(ROOT / "examples" / "aquarium" / "aquarium.mp4"))
    cv2.imwrite(str(tmp_path / "survey" / "fish.jpg"), video.read()[1])
    clone = Clone(tmp_path, None)
    commands = block("README.md", "python -m scripts.commands.detect_folder")
    output = clone.run(replaced(commands, {SET_UP: "", "FOLDER": "survey"}))
    assert f"report: {tmp_path}/survey_detections/results/overview.html" in output
    assert "fish" in (tmp_path / "survey_detections" / "results" / "detections.csv").read_text()
    write_onnx(tmp_path / "graph.onnx")
    (tmp_path / "names.txt").write_text("cod\nflatfish\ncrab\n")
    commands = block("docs/folder.md", "python -m scripts.commands.detect_folder").rstrip()
    output = clone.run(
        replaced(commands, {"FILE_OR_FOLDER": "graph.onnx", "FOLDER": "survey"}) + " --out other --dry-run"
    )
    assert "survey: 1 media" in output


def test_commands_for_inspecting_a_network(tmp_path: Path) -> None:
    clone = Clone(tmp_path, None)
    sample = "examples/aquarium/graph.pb"
    output = clone.run(replaced(inline("README.md", "python -m scripts.commands.inspect_network"), {"FILE": sample}))
    assert "fish, jellyfish, penguin" in output
    video = cv2.VideoCapture(str(ROOT / "examples" / "aquarium" / "aquarium.mp4"))
    cv2.imwrite(str(tmp_path / "in.png"), video.read()[1])
    shown = inline("docs/networks.md", "python -m scripts.commands.inspect_network FILE --picture")
    output = clone.run(replaced(shown, {"FILE": sample, "IN": "in.png", "OUT": "out"}) + " --size 640 480")
    assert "fish 0." in output
    assert (tmp_path / "out.png").exists()


@pytest.mark.service
def test_an_image_with_a_converted_network(clone: Clone) -> None:
    """Only the plan of the conversion; `scripts/test_convert_network.py` runs it."""
    commands = block("docs/data-images.md", "make setup-convert")
    shutil.copy(NETWORK / "graph.pb", clone.folder / "trained.pb")
    shutil.copy(NETWORK / "train.ini", clone.folder / "train.ini")
    write_onnx(clone.folder / "converted.onnx")
    own = {
        "make setup-convert\n": "",
        "--configfile my.yaml": "--configfile my.yaml -n",
        "--graph-onnx resources/network/converted/graph.onnx": "--graph-onnx converted.onnx",
        " ...": " --no-daemon --output net.tar fish:1",
    }
    output = clone.run(EXPORT + replaced(commands, own))
    assert "convert_network" in output
    assert (clone.folder / "net.tar").exists()


@pytest.mark.service
@pytest.mark.clusters
def test_the_plan_on_slurm(clone: Clone, tmp_path: Path) -> None:
    """With the packages that the page installs, which are in .venv-clusters; `slurm/test_slurm.py` runs such plans."""
    own = {
        SET_UP: "",
        "pip install --no-deps --require-hashes -r requirements-slurm.lock": "",
        "=...": '="$TOKEN"',
        "\ntmux ": "\n",
        "snakemake --workflow-profile profiles/slurm --directory /scratch/me/run --configfile my.yaml\n": "",
        "/scratch/me/run": str(tmp_path / "run"),
    }
    commands = replaced(block("docs/slurm.md", "snakemake --workflow-profile profiles/slurm"), own)
    output = clone.run(commands, PYTHONPATH=str(CLUSTERS))
    assert "This was a dry-run" in output


@pytest.mark.service
def test_watching_a_run_on_slurm(run_of_readme: tuple[Clone, str]) -> None:
    done, _ = run_of_readme
    watch = documents.command("docs/slurm.md", "python -m scripts.commands.watch_run")
    assert "2 of 2 media" in done.run(replaced(watch, {"/scratch/me/run": "."}) + " --once")


@pytest.mark.service
@pytest.mark.sandbox
def test_the_plan_in_a_sandbox(clone: Clone, tmp_path: Path) -> None:
    """`test_sandboxed_run.py` runs such a plan."""
    reason = sandbox.plan("auto", [], [], {}).missing
    if reason:
        lacking(f"bubblewrap: {reason}")
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(clone.folder / "my.yaml", run / "settings.yaml")
    command = block("docs/security.md", "python deploy/run_sandboxed.py").rstrip()
    output = shell(replaced(command, {"RUN": str(run), "NETWORK": str(NETWORK)}) + " -n", ROOT)
    assert "This was a dry-run" in output


def test_the_secret_with_the_keys_of_a_store(tmp_path: Path) -> None:
    """A key with a line break at its end would be another one."""
    commands = documents.block("docs/kubernetes.md", "kubectl create secret generic tator-detection-s3").rstrip()
    shown = Clone(tmp_path, None).run(f"{commands} --dry-run=client -o yaml", ACCESS_KEY="key", SECRET_KEY="s/3 $x")
    made = {name: base64.b64decode(value).decode() for name, value in yaml.safe_load(shown)["data"].items()}
    assert made == {"access-key": "key", "secret-key": "s/3 $x"}


def test_the_secret_with_the_address_of_a_proxy(tmp_path: Path) -> None:
    (tmp_path / "address").write_text("http://proxy:3128")
    command = documents.command("docs/kubernetes.md", "kubectl create secret generic proxy")
    made = yaml.safe_load(Clone(tmp_path, None).run(f"{command} --dry-run=client -o yaml"))
    [variables] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(), re.DOTALL)
    source = yaml.safe_load(variables)[0]["valueFrom"]["secretKeyRef"]
    assert source == {"name": made["metadata"]["name"], "key": next(iter(made["data"]))}
    # At the place that the page names it is a valid manifest.
    text = (ROOT / "deploy" / "argo" / "fan-out.yaml").read_text()
    changed = text.replace("        env:\n", f"        env:\n{variables}", 1)
    assert manifest.problems(manifest.read(changed)) == manifest.problems(manifest.read(text))
    assert manifest.read(changed)["spec"]["templates"][0]["container"]["env"][0]["name"] == "HTTPS_PROXY"
