"""Test the preparation of pictures for each family, and the mapping of boxes back to the frame."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from scripts.lib.boxes import Size
from scripts.lib.graphs.description import PixelFormat
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.detr import IMAGENET
from scripts.lib.graphs.feeding import Input, numbers
from scripts.lib.preprocessing.fitting import Fitting
from tests.family_networks import Network, every_engine, gpu, names

__all__ = ["gpu"]  # a fixture


@pytest.mark.parametrize("pixels", [PixelFormat("rgb", 255.0), IMAGENET, PixelFormat("bgr", 1.0)])
def test_pixels_equal_those_of_the_exporters_predictors(pixels: PixelFormat) -> None:
    """A difference of one bit moved boxes of a YOLO in half precision by 5 pixels."""
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    values = numbers(frames, pixels, Input("images", "float32", channels_last=True, batched=True, batch=1))
    expected = frames.astype(np.float32) / np.float32(pixels.divisor)
    expected = (expected - np.float32(pixels.mean)) / np.float32(pixels.deviation)
    assert values.tobytes() == expected.tobytes()


@every_engine
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_input_values_are_the_same_in_every_engine(
    tmp_path: Path, engine: str, order: str, channels_last: bool
) -> None:
    """The graph returns its input as boxes."""
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, 8, 12, 3] if channels_last else [1, 3, 8, 12]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["picture", "as_boxes"], ["corners"]),
            helper.make_node("Slice", ["corners", "first", "second", "last_axis"], ["numbers"]),
        ],
        "mirror",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("corners", TensorProto.FLOAT, [1, 72, 4]),
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [1, 72, 1]),
        ],
        [
            numpy_helper.from_array(np.array([1, 72, 4]), "as_boxes"),
            numpy_helper.from_array(np.array([0]), "first"),
            numpy_helper.from_array(np.array([1]), "second"),
            numpy_helper.from_array(np.array([2]), "last_axis"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "graph.onnx"
    )
    names(tmp_path, "cod")
    mean, deviation = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    pixels = {"order": order, "divisor": 255, "mean": mean, "deviation": deviation}
    description = {"outputs": {"boxes": 0, "scores": 1}, "pixels": pixels}
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
    with Network(tmp_path, family="described", description=description).opened(engine, batch_size=3) as opened:
        values = opened.infer(frames).boxes.reshape(3, *shape[1:])
    expected = (frames[..., ::-1] if order == "rgb" else frames) / 255
    expected = (expected - mean) / deviation
    np.testing.assert_allclose(values, expected if channels_last else expected.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize("size", [(640, 480), (431, 637), (1279, 533), (30, 20), (64, 64)])
@pytest.mark.parametrize(
    "resize",
    [
        {"kind": "stretch"},
        {"kind": "stretch", "filter": "antialiased"},
        {"kind": "letterbox"},
        {"kind": "letterbox", "place": "top_left", "rounding": "down"},
        {"kind": "letterbox", "one_gain": True},
        {"kind": "pad"},
    ],
)
def test_boxes_are_mapped_back_to_the_frame(size: tuple[int, int], resize: dict) -> None:
    """A white box on grey, found in the fitted picture and mapped back, is where it was drawn."""
    width, height = size
    frame = np.full((height, width, 3), 60, np.uint8)
    box = np.array([width // 4, height // 3, width // 2, height * 2 // 3])
    frame[box[1] : box[3], box[0] : box[2]] = 250
    description = from_values({"outputs": {"table": 0}, "resize": {"colour": 114, **resize}})
    fitting = Fitting(description.resize, Size(64, 64))
    out = np.zeros((64, 64, 3), np.uint8)
    fitting.fit(frame, out)
    rows, columns = np.nonzero(out[..., 0] > 155)
    start, scale = fitting.mapping(Size(width, height))
    corners = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).reshape(2, 2)
    back = ((corners - start) * scale).ravel()
    assert np.abs(back - box).max() <= max(scale)
    shown = fitting.shown(out, Size(width, height))
    assert abs(shown.shape[1] / shown.shape[0] - width / height) < 0.2 * width / height or resize["kind"] == "stretch"
    if resize["kind"] == "letterbox" and shown.shape != out.shape:
        assert (out == 114).all(axis=2).any()
