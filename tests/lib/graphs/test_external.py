"""Test ONNX files whose weights are in other files."""

import json
import shutil
from pathlib import Path, PurePosixPath

import onnx
import pytest

from scripts.commands.make_pipeline_image import make_pipeline_image
from scripts.get_network import get_network
from scripts.lib.errors import GraphError
from scripts.lib.graphs import external
from tests.onnx_graph import write_onnx

ODD = Path(__file__).parents[2] / "data" / "odd" / "onnx_external"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    shutil.copytree(ODD, folder)
    return folder


def get(tmp_path: Path, **origin: Path) -> Path:
    folder = tmp_path / "network"
    get_network(
        graph=folder / "graph.onnx", train_ini=folder / "train.ini", provenance=folder / "provenance.json", **origin
    )
    return folder


def renamed(source: Path, name: str) -> None:
    model = onnx.load(source / "graph.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name
    (source / "graph.onnx").write_bytes(model.SerializeToString())


def test_external_weights_are_embedded_in_the_graph(source: Path, tmp_path: Path) -> None:
    folder = get(tmp_path, directory=source)
    whole = onnx.load(folder / "graph.onnx")
    expected = onnx.load(source / "graph.onnx")
    assert [onnx.numpy_helper.to_array(one).tolist() for one in whole.graph.initializer] == [
        onnx.numpy_helper.to_array(one).tolist() for one in expected.graph.initializer
    ]
    onnx.checker.check_model(whole, full_check=True)
    files = json.loads((folder / "provenance.json").read_text())["files"]
    assert set(files) == {"graph.onnx", "graph.onnx.data", "train.ini"}
    before = (folder / "graph.onnx").read_bytes()
    data = bytearray((source / "graph.onnx.data").read_bytes())
    data[77] ^= 1
    (source / "graph.onnx.data").write_bytes(data)
    assert (get(tmp_path, directory=source) / "graph.onnx").read_bytes() != before


def test_the_plan_contains_the_file_of_weights(source: Path) -> None:
    assert external.weight_files_in_folder(source / "graph.onnx") == ["graph.onnx.data"]
    renamed(source, "../graph.onnx.data")
    assert external.weight_files_in_folder(source / "graph.onnx") == []


@pytest.mark.parametrize("name", ["./graph.onnx.data", "weights/graph.onnx.data", "a/./b//w.bin"])
def test_weights_below_the_folder_are_embedded_hashed_and_in_the_plan(source: Path, tmp_path: Path, name: str) -> None:
    whole = (get(tmp_path, directory=source) / "graph.onnx").read_bytes()
    data = (source / "graph.onnx.data").read_bytes()
    (source / "graph.onnx.data").unlink()
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    (source / name).write_bytes(data)
    renamed(source, name)
    relative = str(PurePosixPath(name))
    assert external.weight_files_in_folder(source / "graph.onnx") == [relative]
    folder = get(tmp_path, directory=source)
    assert (folder / "graph.onnx").read_bytes() == whole
    assert relative in json.loads((folder / "provenance.json").read_text())["files"]
    assert sorted(path.name for path in folder.iterdir()) == ["graph.onnx", "provenance.json", "train.ini"]


def test_each_tensor_in_a_separate_file(source: Path, tmp_path: Path) -> None:
    whole = (get(tmp_path, directory=source) / "graph.onnx").read_bytes()
    apart = tmp_path / "apart"
    apart.mkdir()
    (apart / "train.ini").write_bytes((source / "train.ini").read_bytes())
    onnx.save_model(
        onnx.load(source / "graph.onnx"),
        apart / "graph.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    files = external.weight_files_in_folder(apart / "graph.onnx")
    assert len(files) > 1
    folder = get(tmp_path, directory=apart)
    found = onnx.load(folder / "graph.onnx").graph.initializer
    expected = onnx.load_from_string(whole).graph.initializer
    assert [onnx.numpy_helper.to_array(one).tolist() for one in found] == [
        onnx.numpy_helper.to_array(one).tolist() for one in expected
    ]
    assert set(files) <= set(json.loads((folder / "provenance.json").read_text())["files"])


def test_a_linked_folder_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (source / "graph.onnx.data").rename(tmp_path / "elsewhere" / "w.bin")
    (source / "weights").symlink_to(tmp_path / "elsewhere")
    renamed(source, "weights/w.bin")
    with pytest.raises(GraphError, match=r"its weights are in the file 'weights/w\.bin', which does not exist"):
        get(tmp_path, directory=source)
    with pytest.raises(GraphError, match=r"expected a file in the graph's own folder, or in one below it"):
        make_pipeline_image(
            image="network:1", graph_onnx=source / "graph.onnx", output=tmp_path / "image.tar", daemon=False
        )


@pytest.mark.parametrize(
    "name",
    ["../source/graph.onnx.data", "weights/../../x", "/etc/hostname", "absent.bin", "a/absent.bin", "", ".", ".."],
)
def test_weights_elsewhere_or_absent_are_refused(source: Path, tmp_path: Path, name: str) -> None:
    renamed(source, name)
    with pytest.raises(GraphError, match="its weights are"):
        get(tmp_path, directory=source)
    assert not (tmp_path / "network" / "graph.onnx").exists()


def test_a_file_that_is_too_short_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "graph.onnx.data").write_bytes(bytes(19_999))
    with pytest.raises(GraphError, match="which has 19999"):
        get(tmp_path, directory=source)


def test_weights_in_a_data_image(source: Path, tmp_path: Path) -> None:
    renamed(source, "weights.bin")
    (source / "graph.onnx.data").rename(source / "weights.bin")
    make_pipeline_image(
        image="network:1", graph_onnx=source / "graph.onnx", output=tmp_path / "image.tar", daemon=False
    )
    folder = get(tmp_path, archive=tmp_path / "image.tar")
    assert len((folder / "graph.onnx").read_bytes()) > 20_000


@pytest.mark.parametrize("place", ["function_default", "graph_in_a_function_default", "sparse_value", "sparse_values"])
def test_weights_elsewhere_are_refused_in_every_place_of_a_graph(tmp_path: Path, place: str) -> None:
    model = onnx.load(write_onnx(tmp_path / "graph.onnx"))
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    sparse = onnx.SparseTensorProto(values=tensor, dims=[4])
    attribute = onnx.AttributeProto(name="value")
    if place == "function_default":
        attribute.t.CopyFrom(tensor)
    elif place == "graph_in_a_function_default":
        attribute.g.initializer.append(tensor)
    elif place == "sparse_value":
        attribute.sparse_tensor.CopyFrom(sparse)
    else:
        attribute.sparse_tensors.append(sparse)
    if "function" in place:
        model.functions.add(name="f", domain="own").attribute_proto.append(attribute)
    else:
        model.graph.node.add(op_type="Constant", output=["x"]).attribute.append(attribute)
    path = tmp_path / "graph.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "secret").write_bytes(bytes(16))
    with pytest.raises(GraphError, match=r"weights are said to be in '\.\./secret'"):
        external.write_with_weights(path, tmp_path, tmp_path / "out.onnx", "g")
    assert not (tmp_path / "out.onnx").exists()
