"""Files that scale their pixels themselves, and files whose input has a length of 0."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from scripts.lib.errors import GraphError, SettingsError
from tests.detector_graphs import SIDE, ULTRALYTICS, raw, write_detector
from tests.family_networks import CELLS, Network, every_engine, found, gpu, names

__all__ = ["gpu"]  # a fixture

BOX = ((8, 4, 24, 20), 0, 0.9)


def write_yolo(
    folder: Path, operator: str | None = None, number: object = 255, kind: str = "float32", *, constant: str = "float"
) -> Path:
    """Write a YOLO whose first operator on its pixels is this one, after a Cast.

    Args:
        folder: gets `graph.onnx`.
        operator: ONNX' name; None for the YOLO as it is exported.
        number: its second input.
        kind: of the input.
        constant: where the number is: `float` or `half`, a weight; `node`, a Constant; `values`, a weight of numbers;
            `cast`, a weight of int64 before a Cast; `cast_` and a type, its numbers instead of its bytes before a Cast;
            or an attribute of a Constant, such as `value_float`.
    """
    path = folder / "graph.onnx"
    output = raw([[16, 12, 16, 16, 0.9, 0.1]], CELLS)
    write_detector(path, {"output0": output}, metadata=ULTRALYTICS, kind=kind)
    if operator is None:
        return path
    model = onnx.load(path)
    values = numpy_helper.from_array(np.array(number, np.float16 if constant == "half" else np.float32), "number")
    if constant == "values":
        values = helper.make_tensor("number", TensorProto.FLOAT, np.shape(number), np.ravel(number))
    cast, rest = model.graph.node[0], list(model.graph.node[1:])
    cast.attribute[0].i = TensorProto.FLOAT16 if constant == "half" else TensorProto.FLOAT
    cast.output[0] = "cast"
    given = []
    if constant == "node":
        given = [helper.make_node("Constant", [], ["number"], value=values)]
    elif constant.startswith("value_"):
        given = [helper.make_node("Constant", [], ["number"], **{constant: number})]
    elif constant.startswith("cast"):
        given = [helper.make_node("Cast", ["whole"], ["number"], to=TensorProto.FLOAT)]
        weight = numpy_helper.from_array(np.array(number, np.int64), "whole")
        if constant != "cast":
            weight = helper.make_tensor("whole", TensorProto.DataType.Value(constant[5:].upper()), [], [number])
        model.graph.initializer.append(weight)
    else:
        model.graph.initializer.append(values)
    scaled = helper.make_node(operator, ["cast", "number"], ["scaled"])
    back = helper.make_node("Cast", ["scaled"], ["numbers"], to=TensorProto.FLOAT)
    del model.graph.node[:]
    model.graph.node.extend([cast, *given, scaled, back, *rest])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@every_engine
@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_a_yolo_that_divides_by_255_itself_is_fed_bytes(tmp_path: Path, engine: str, kind: str) -> None:
    write_yolo(tmp_path, "Div", kind=kind)
    network = Network(tmp_path)
    assert (network.description.family, network.description.pixels.divisor) == ("ultralytics", 1)
    assert found(network, engine) == [BOX]


@pytest.mark.parametrize(
    ("operator", "number", "constant"),
    [
        ("Div", 255, "node"), ("Mul", 1 / 255, "float"), ("Mul", np.full((1, 3, 1, 1), 1 / 255), "values"),
        ("Div", 255, "half"), ("Mul", 1 / 255, "half"), ("Div", 255, "cast"), ("Div", 255.0, "value_float"),
        ("Mul", [1 / 255], "value_floats"), ("Div", 255, "cast_float16"), ("Div", 255, "cast_uint8"),
        ("Div", 255, "cast_int64"), ("Div", 255, "cast_double"), ("Div", 255, "cast_uint64"),
        ("Div", 255, "cast_bfloat16"),
    ],
)  # fmt: skip
def test_wherever_the_number_is(tmp_path: Path, operator: str, number: object, constant: str) -> None:
    write_yolo(tmp_path, operator, number, constant=constant)
    assert Network(tmp_path).description.pixels.divisor == 1


@pytest.mark.parametrize(
    ("operator", "number"),
    [(None, 0), ("Mul", 2.0), ("Sub", 0.5), ("Div", [[[[0.2]], [[0.3]], [[0.4]]]]), ("Max", 255)],
)
def test_what_may_be_done_to_pixels_from_0_to_1(tmp_path: Path, operator: str | None, number: object) -> None:
    write_yolo(tmp_path, operator, number)
    assert Network(tmp_path).description.pixels.divisor == 255


@pytest.mark.parametrize(
    ("operator", "number", "words"),
    [
        ("Div", 127.5, "begins with Div of 127.5"), ("Sub", [[[[123.675]], [[116.28]], [[103.53]]]], "Sub of 123.675"),
        ("Add", -127.5, "Add of -127.5"), ("Mul", [[[[1 / 255]], [[1 / 255]], [[1 / 128]]]], "Mul of 0.0039"),
    ],
)  # fmt: skip
def test_other_numbers_that_bytes_are_scaled_with_are_refused(
    tmp_path: Path, operator: str, number: object, words: str
) -> None:
    write_yolo(tmp_path, operator, number)
    with pytest.raises(SettingsError, match=f"{words}.*from 0 to 255, .*ultralytics.*write network.description"):
        Network(tmp_path)


def test_a_family_that_subtracts_a_mean_too_is_refused(tmp_path: Path) -> None:
    """The file may subtract the mean too, or not."""
    write_yolo(tmp_path, "Div")
    model = onnx.load(tmp_path / "graph.onnx")
    model.graph.output[0].name = model.graph.node[-1].output[0] = "dets"
    onnx.helper.set_model_props(model, {})
    numbers = numpy_helper.from_array(np.zeros((1, CELLS, 3), np.float32), "values")
    boxes = numpy_helper.from_array(np.zeros((1, CELLS, 4), np.float32), "boxes")
    model.graph.initializer.extend([numbers, boxes])
    del model.graph.node[-1:], model.graph.output[:]
    for name, values, length in (("dets", "boxes", 4), ("labels", "values", 3)):
        model.graph.node.append(helper.make_node("Add", [values, "nothing"], [name]))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CELLS, length]))
    onnx.save(model, tmp_path / "graph.onnx")
    names(tmp_path)
    with pytest.raises(SettingsError, match=r"begins with Div of 255.*rf-detr.*write network\.description"):
        Network(tmp_path)


@pytest.mark.parametrize("shape", [(0, 3, SIDE, SIDE), (1, 3, 0, SIDE)])
def test_an_input_with_a_length_of_0(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = onnx.load(write_yolo(tmp_path))
    for length, number in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        length.dim_value = number
    onnx.save(model, tmp_path / "graph.onnx")
    network = Network(tmp_path)
    with pytest.raises(
        GraphError, match=rf"input images has the shape \({', '.join(map(str, shape))}\), .*length of 0"
    ):
        network.opened("onnxruntime", batch_size=1)
    assert found(network, "openvino") == [BOX]
