"""Which engine is chosen, the reason, and that the choice imports no library."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.lib.engines.table import ENGINES
from scripts.lib.errors import SettingsError
from scripts.lib.workflow.configuration import engine_choice
from scripts.lib.workflow.configuration.engine_choice import choose, choose_for_network
from scripts.lib.workflow.configuration.network_settings import unfit_for_tensorrt


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that creates a machine's device files, and determines which packages are installed."""

    def make(gpu: bool, packages: tuple[str, ...]) -> Path:
        if gpu:
            (tmp_path / "nvidia0").touch()
        (tmp_path / "nvidiactl").touch()
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in packages else None)
        return tmp_path

    return make


ALL = ("tensorrt", "pycuda", "onnx")


def test_auto_chooses_tensorrt_if_the_machine_has_everything(machine):
    found = choose("auto", None, {}, machine(gpu=True, packages=ALL))
    assert found == ("tensorrt", "f16", "auto: an NVIDIA GPU and TensorRT's packages are here")
    assert choose("auto", "f32", {}, machine(gpu=True, packages=ALL))[:2] == ("tensorrt", "f32")


@pytest.mark.parametrize(
    ("gpu", "packages", "environ", "reason"),
    [
        (False, ALL, {}, "auto: no NVIDIA GPU is here"),
        (True, ("onnx",), {}, "auto: an NVIDIA GPU is here, but not tensorrt, pycuda"),
        (True, ALL, {"CUDA_VISIBLE_DEVICES": ""}, "auto: CUDA_VISIBLE_DEVICES hides the GPUs"),
        (True, ALL, {"CUDA_VISIBLE_DEVICES": "-1"}, "auto: CUDA_VISIBLE_DEVICES hides the GPUs"),
    ],
)
def test_auto_chooses_openvino_on_other_machines(machine, gpu, packages, environ, reason):
    assert choose("auto", None, environ, machine(gpu, packages)) == ("openvino", "f32", reason)


def test_an_engine_of_the_settings_is_chosen_on_any_machine(machine):
    assert choose("tensorrt", None, {}, machine(gpu=False, packages=())) == ("tensorrt", "f16", "by the settings")
    assert choose("onnxruntime", None, {}, machine(gpu=True, packages=ALL))[:2] == ("onnxruntime", "f32")


def test_a_job_has_the_reason_of_the_run(machine):
    environ = {engine_choice.REASON_VARIABLE: "auto: the weather"}
    assert choose("tensorrt", None, environ, machine(gpu=False, packages=())).reason == "auto: the weather"
    assert engine_choice.reason({}) == "by the settings"


def test_auto_chooses_openvino_for_a_network_that_tensorrt_cannot_run(machine):
    found = choose("auto", None, {}, machine(gpu=True, packages=ALL), unfit="TensorRT does not read graph.xml")
    assert found == ("openvino", "f32", "auto: TensorRT does not read graph.xml")
    assert choose("tensorrt", None, {}, machine(gpu=True, packages=ALL), unfit="so it is")[0] == "tensorrt"


def test_the_choice_after_the_network_is_read():
    by_auto = {engine_choice.REASON_VARIABLE: "auto: an NVIDIA GPU and TensorRT's packages are here"}
    why = "TensorRT does not run it"

    def chosen(engine, obstacle, environ, precision="f16", device="auto"):
        return choose_for_network(engine, precision, obstacle, environ, device=device)

    assert chosen("tensorrt", why, by_auto) == ("openvino", "f32", f"auto: {why}")
    assert chosen("tensorrt", None, by_auto)[:2] == ("tensorrt", "f16")
    assert chosen("tensorrt", why, {})[:2] == ("tensorrt", "f16")
    assert chosen("onnxruntime", why, by_auto, "f32")[:2] == ("onnxruntime", "f32")
    assert chosen("tensorrt", None, by_auto, device="cuda")[:2] == ("tensorrt", "f16")
    with pytest.raises(
        SettingsError, match=r"device: cuda: .* TensorRT does not run it; .*set detect\.engine: onnxruntime"
    ):
        chosen("tensorrt", why, by_auto, device="cuda")


def write_frozen(path: Path, *names: bytes) -> None:
    """Write the parts of a frozen graph that contain the names of its nodes."""
    nodes = (bytes([10, len(name)]) + name for name in names)
    path.write_bytes(b"".join(bytes([10, len(node)]) + node for node in nodes))


@pytest.mark.parametrize(
    ("network", "detect", "why"),
    [
        ({}, {}, None),
        ({"family": "retinanet"}, {}, None),
        ({"graph": "graph.xml"}, {}, "does not read graph.xml"),
        ({"family": "yolox"}, {}, None),
        ({"family": "torchvision"}, {}, "family, torchvision"),
        ({"pixels": "rgb"}, {}, "rows"),
        ({}, {"img_max_side": None}, None),
        ({"directory": None, "graph": "graph.pb"}, {"img_max_side": None}, "img_max_side"),
        ({"directory": None, "graph": "graph.pb"}, {}, None),
        ({"graph": "graph.pb"}, {}, "family, tensorflow"),
    ],
)
def test_which_networks_are_unfit_for_tensorrt_by_the_settings(tmp_path, network, detect, why):
    write_frozen(tmp_path / "graph.pb", b"image_tensor", b"detection_boxes")
    settings = {
        "network": {"family": "auto", "graph": "graph.onnx", "pixels": None, "directory": str(tmp_path)} | network,
        "detect": {"img_max_side": 640} | detect,
    }
    found = unfit_for_tensorrt(settings)
    assert (found is None) if why is None else (why in found)


def test_openems_graph_is_fit_for_tensorrt(tmp_path):
    write_frozen(tmp_path / "graph.pb", b"input_1", b"filtered_detections/map/TensorArrayStack/TensorArrayGatherV3")
    network = {"family": "auto", "graph": "graph.pb", "pixels": None, "directory": str(tmp_path)}
    assert unfit_for_tensorrt({"network": network, "detect": {"img_max_side": 640}}) is None


@pytest.mark.parametrize(
    ("engine", "precision", "message"),
    [
        ("auto", "f16", r"openvino \(auto: no NVIDIA GPU is here\) does not have f16; expected f32"),
        ("tensorrt", "int8", r"tensorrt \(by the settings\) does not have int8; expected f16 or f32"),
        ("onnxruntime", "f16", r"onnxruntime \(by the settings\) does not have f16; expected f32"),
    ],
)
def test_a_precision_that_the_engine_lacks(machine, engine, precision, message):
    with pytest.raises(SettingsError, match=message) as caught:
        choose(engine, precision, {}, machine(gpu=False, packages=()))
    assert "\n" not in str(caught.value)


def test_choosing_imports_no_library():
    code = (
        "import sys, os\n"
        "from scripts.lib.workflow.configuration.engine_choice import choose\n"
        "choose('auto', None, os.environ)\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'openvino', 'cv2', 'tensorrt', 'pycuda'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4], timeout=60)


@pytest.mark.parametrize("module", ["scripts.lib.data_images.tags", "scripts.get_network"])
def test_without_a_data_image_the_docker_client_is_not_imported(module):
    """Each start of Snakemake imports the first module, each job that gets a network the second."""
    code = f"import sys, {module}; sys.exit('docker' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4], timeout=60)


def test_the_schema_names_every_engine_and_precision():
    schema = yaml.safe_load((Path(__file__).parents[4] / "config/config.schema.yaml").read_text())
    detect = schema["properties"]["detect"]["properties"]
    assert detect["engine"]["enum"] == ["auto", *ENGINES]
    precisions = {name for kind in ENGINES.values() for name in kind.precisions}
    assert set(detect["precision"]["enum"]) - {None} == precisions


def test_engine_names_are_only_in_the_table():
    """The exceptions are the module of each engine, and the choice, which names TensorRT."""
    allowed = {
        "engines/table.py",
        "engines/openvino/engine.py",
        "engines/onnxruntime/engine.py",
        "engines/tensorrt/engine.py",
    }
    allowed |= {"workflow/configuration/engine_choice.py"}
    folder = Path(__file__).parents[4] / "scripts"
    quoted = re.compile("|".join(f'(?<!import_module\\()(?<!find_spec\\()"{name}"' for name in ENGINES))
    sources = {*folder.rglob("*.py")} - {folder / "build_engine.py", *(folder / "lib" / name for name in allowed)}
    # The lines with `version(name)` read versions of the libraries by the names of their packages.
    found = {
        str(path.relative_to(folder)): line.strip()
        for path in sources
        for line in path.read_text().splitlines()
        if quoted.search(line) and "version(name)" not in line
    }
    assert found == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_environment_of_each_engine_exists(engine):
    assert (Path(__file__).parents[4] / "envs" / f"{ENGINES[engine].environment}.yaml").exists()


def test_jobs_that_compute_nothing_do_not_import_numpy():
    using_tator = "resolve_media, prepare_upload, get_attributes, download_media, mark_processed"
    rules = f"{using_tator}, merge_detections, summarize, conclude"
    code = f"import sys; from scripts import {rules}; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4], timeout=60)
