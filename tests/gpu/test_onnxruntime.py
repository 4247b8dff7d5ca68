"""onnxruntime on a real GPU, compared with OpenVINO and with onnxruntime on the CPU.

It needs onnxruntime-gpu, which has the same modules as onnxruntime: `make test-gpu` has it in a folder of its own.
"""

from pathlib import Path

import numpy as np
import pytest

from scripts.lib.engines.base import Outputs
from scripts.lib.suppression import select
from tests.gpu.sample import TOLERANCES, assert_close, outputs_of
from tests.gpu.sample import opened as open_sample
from tests.lib.engines.test_described_on_a_gpu import infer, network, opened


def test_boxes_equal_those_of_openvino(batches, folder, expected):
    with open_sample("onnxruntime", folder, device="cuda") as engine:
        assert engine.description["device"] == "CUDA"
        assert_close(outputs_of(engine, batches), expected, "f32")


@pytest.mark.parametrize("kind", ["yolo", "detr"])
def test_boxes_of_described_networks_equal_those_of_the_cpu(tmp_path: Path, kind: str) -> None:
    found = network(tmp_path, kind, "batch")
    with opened(found, "onnxruntime", 3, device="cpu") as engine:
        expected = infer(engine, found[2])
    with opened(found, "onnxruntime", 3, device="cuda") as engine:
        actual = infer(engine, found[2])
    _, boxes, scores = TOLERANCES["f32"]
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=boxes)
        np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=scores)


def test_the_same_is_found_in_selected_candidates(batches, folder, expected):
    threshold = 0.3
    with open_sample("onnxruntime", folder, device="cuda", min_score=threshold) as engine:
        assert "candidates" in engine.description
        found = [count(engine.infer(batch), threshold, engine.nms) for batch in batches]
        every = [Outputs(*(part[at : at + len(batches[0])] for part in expected)) for at in starts(batches)]
        wanted = [count(each, threshold, engine.nms) for each in every]
    # A score near the threshold may reach it in only one of them.
    assert abs(sum(found) - sum(wanted)) <= 0.001 * sum(wanted)


def count(outputs: Outputs, threshold: float, nms) -> int:
    return sum(len(select(*each, threshold, nms).boxes) for each in zip(*outputs, strict=True))


def starts(batches: np.ndarray) -> range:
    return range(0, len(batches) * len(batches[0]), len(batches[0]))
