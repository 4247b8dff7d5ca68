"""No loader of the workflow creates arbitrary objects or runs code from the files that it reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from scripts.lib.boxes import Size
from scripts.lib.engines.openvino.graph import load_openvino
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import GraphError, SettingsError
from tests.workflow import ROOT

# Modules that create objects, or run code, from bytes.
FORBIDDEN = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
# Methods that load a library with operators for graphs.
EXTENSIONS = {
    "add_extension", "register_custom_ops_library", "load_op_library", "load_library", "load_plugin_library",
}  # fmt: skip
SAFE = {"yaml.safe_load", "yaml.safe_dump", "yaml.dump", "yaml.compose", "yaml.parse"}
FOLDERS = ("scripts", "deploy", "examples")


def _problems(code: str) -> Iterator[str]:
    """Yield the calls in a module that could run what it reads."""
    for node in ast.walk(ast.parse(code)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            if node.module == "yaml":
                names += [f"yaml.{alias.name}" for alias in node.names if alias.name != "YAMLError"]
        for name in names:
            if name.partition(".")[0] in FORBIDDEN or name.startswith("yaml."):
                yield f"{node.lineno}: import of {name}"
        if isinstance(node, ast.Call):
            yield from _problems_of_call(node)


def _problems_of_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    # `compose` and `parse` make nodes and events of YAML, no objects; `dump` reads nothing.
    if re.fullmatch(r"yaml\.\w+", called) and called not in SAFE:
        yield f"{node.lineno}: {called}"
    if called in ("eval", "exec", "compile", "__import__") or called.rpartition(".")[2] in EXTENSIONS:
        yield f"{node.lineno}: {called}"
    if any(keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False" for keyword in node.keywords):
        yield f"{node.lineno}: {called} with allow_pickle"
    if called in ("pd.read_pickle", "pandas.read_pickle", "torch.load"):
        yield f"{node.lineno}: {called}"


def _modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_no_module_makes_objects_out_of_what_it_reads() -> None:
    assert len(_modules()) > 100
    found = {str(path.relative_to(ROOT)): list(_problems(path.read_text())) for path in _modules()}
    assert {path: problems for path, problems in found.items() if problems} == {}


def test_the_rules_load_yaml_safely() -> None:
    for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]:
        text = path.read_text()
        assert set(re.findall(r"\byaml\.(\w+)\(", text)) <= {"safe_load"}, path
        assert not [name for name in (*FORBIDDEN, "allow_pickle", "exec(", "eval(") if name in text], path


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "import yaml\nyaml.load(x)", "yaml.unsafe_load(x)",
        "yaml.full_load(x)", "from yaml import load", "from yaml import UnsafeLoader", "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=choice)", "eval(x)", "core.add_extension(p)", "o.register_custom_ops_library(p)",
        "runtime.load_library(p)", "torch.load(p)",
    ],
)  # fmt: skip
def test_unsafe_calls_are_found(code: str) -> None:
    assert list(_problems(code))


def test_numpy_refuses_objects_by_default(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(tmp_path / "a.npy")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a small network as OpenVINO does, `.xml` and `.bin`."""
    openvino = load_openvino()
    from openvino import opset13 as operators

    numbers = operators.parameter([1, 4], np.float32)
    added = operators.add(numbers, operators.constant(np.arange(4, dtype=np.float32)))
    openvino.save_model(openvino.Model([added], [numbers], "m"), tmp_path / "graph.xml", compress_to_fp16=False)
    load_openvino().Core().read_model(tmp_path / "graph.xml")
    return tmp_path / "graph.xml"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('type="Add" version="opset1"', 'type="Add" version="extension"'),
        ('type="Add" version="opset1"', 'type="RunThis" version="opset1"'),
        ('offset="0" size="16"', 'offset="4096" size="16"'),
        ('offset="0" size="16"', 'offset="18446744073709551600" size="16"'),
    ],
    ids=["another set of operators", "another operator", "weights beyond the file", "weights before the file"],
)
def test_openvino_files_cannot_use_extensions_or_other_bytes(model: Path, old: str, new: str) -> None:
    text = model.read_text()
    assert old in text
    model.write_text(text.replace(old, new))
    with pytest.raises(RuntimeError):
        load_openvino().Core().read_model(model)


def test_openvino_files_cannot_include_other_files(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1,4")
    text = model.read_text().replace('shape="1,4"', 'shape="&secret;"')
    entity = f'<!DOCTYPE net [<!ENTITY secret SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    model.write_text(text.replace('<?xml version="1.0"?>', f'<?xml version="1.0"?>{entity}'))
    with pytest.raises(RuntimeError):
        load_openvino().Core().read_model(model)


def test_weights_are_read_from_the_file_next_to_the_graph(model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    model.with_suffix(".bin").rename(outside)
    text = model.read_text().replace('size="16"', f'size="16" path="{outside}" location="{outside}"')
    model.write_text(text)
    with pytest.raises(RuntimeError):
        load_openvino().Core().read_model(model)


@pytest.mark.parametrize("name", ["graph.engine", "graph.plan", "graph.xml", "graph.ort"])
def test_tensorrt_does_not_accept_an_engine_file_as_a_network(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"code")
    with pytest.raises((SettingsError, GraphError), match=re.escape(name)):
        open_engine(tmp_path / name, engine="tensorrt", size=Size(64, 64), batch_size=1, threads=1)


def test_engine_files_are_not_accepted_as_networks() -> None:
    schema = yaml.safe_load((ROOT / "config" / "config.schema.yaml").read_text())
    assert schema["properties"]["network"]["properties"]["graph"]["enum"] == ["graph.pb", "graph.onnx", "graph.xml"]


def test_engine_files_are_read_in_one_place_only() -> None:
    reading = [path.name for path in _modules() if "deserialize_cuda_engine(" in path.read_text()]
    assert reading == ["engine_file.py"]
