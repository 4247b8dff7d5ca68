"""The frames of the sample clip, and what OpenVINO finds in them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from scripts.lib.frames.reader import open_frames
from scripts.lib.preprocessing.preprocess import fit
from tests.gpu.sample import BATCH, SAMPLE, SIZE, opened, outputs_of


@pytest.fixture(scope="session")
def batches() -> np.ndarray:
    found = np.zeros((148, SIZE.height, SIZE.width, 3), np.uint8)
    with open_frames(SAMPLE / "aquarium.mp4", "video") as frames:
        for (_, picture), place in zip(frames, found, strict=False):
            fit(picture, place)
    return found.reshape(-1, BATCH, *found.shape[1:])


@pytest.fixture(scope="session")
def folder(tmp_path_factory, sample_onnx) -> Path:
    """Return a folder for engine files, with the sample network as ONNX."""
    found = tmp_path_factory.mktemp("engines")
    shutil.copy(sample_onnx, found / "graph.onnx")
    return found


@pytest.fixture(scope="session")
def expected(batches, folder) -> tuple[np.ndarray, np.ndarray]:
    with opened("openvino", folder) as engine:
        return outputs_of(engine, batches)
