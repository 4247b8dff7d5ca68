"""Test networks that were quantized with the tools of onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from scripts.get_network import get_network
from scripts.lib.engines.table import open_engine
from scripts.lib.files import read_json
from scripts.lib.graphs.description_values import from_values
from tests.detector_graphs import SIDE, write_yolo

pytestmark = pytest.mark.networks


class Pictures(CalibrationDataReader):
    """Returns four pictures of noise."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._pictures = iter([random.random((1, 3, SIDE, SIDE), dtype=np.float32) for _ in range(4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"images": picture}


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_a_quantized_yolo_gives_the_same_in_each_engine_with_any_threads(form: Any, tmp_path: Path) -> None:
    """OpenVINO does not mix up the weights of this small network; test_weights_in_bytes.py has a larger one."""
    source = tmp_path / "source"
    source.mkdir()
    plain = write_yolo(tmp_path / "plain.onnx")
    quantize_static(
        plain, source / "graph.onnx", Pictures(), quant_format=form, op_types_to_quantize=["Conv"],
        activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8,
    )  # fmt: skip
    graph, record = tmp_path / "taken/graph.onnx", tmp_path / "provenance.json"
    get_network(graph=graph, train_ini=tmp_path / "taken/train.ini", provenance=record, directory=source)
    description = from_values(read_json(record)["description"])
    assert description.family == "ultralytics"
    frames = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    found = []
    for engine, threads in (("onnxruntime", 1), ("openvino", 1), *[("openvino", 3)] * 5):
        with open_engine(
            graph, engine=engine, size=description.size, batch_size=4, threads=threads, description=description, names=2
        ) as opened:
            outputs = opened.infer(frames)
            found.append((outputs.boxes.copy(), outputs.scores.copy()))
    assert found[0][1].max() > 0.5
    for boxes, scores in found[1:]:
        np.testing.assert_allclose(boxes, found[0][0], atol=1e-3)
        np.testing.assert_allclose(scores, found[0][1], atol=1e-4)
