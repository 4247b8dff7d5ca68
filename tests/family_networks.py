"""Shared by the tests of families of detectors: networks that get_network wrote, opened and run."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scripts.get_network import get_network
from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.table import open_engine
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.description_values import from_values
from scripts.lib.suppression import select
from tests.gpu_driver import install
from tests.gpu_driver.strict import TENSORRT

ENGINES = ("openvino", "onnxruntime", "tensorrt")

# Cells of 8, 16 and 32 pixels in a picture of 64 x 64.
CELLS = 64 + 16 + 4

every_engine = pytest.mark.parametrize("engine", ENGINES)

DESCRIBED = {
    "outputs": {"boxes": "corners", "scores": 1},
    "boxes": {"corners": "xywh", "unit": "fraction"},
    "scores": {"function": "sigmoid", "background": "first"},
    "resize": {"kind": "letterbox", "place": "top_left", "colour": 0},
    "pixels": {"order": "bgr", "divisor": 127.5, "mean": [1, 1, 1]},
    "suppression": {"iou": 0.5, "max_detections": 10, "per_class": False, "min_score": None},
}


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a stand-in of TensorRT and a GPU; a test must free everything that it allocates there."""
    device = install(monkeypatch, TENSORRT[-1])
    yield
    device.check_clean()


class Network:
    """A network written by get_network."""

    def __init__(self, folder: Path, **settings: object) -> None:
        graph = next(path for path in folder.iterdir() if path.stem == "graph" and path.suffix != ".bin")
        self.out = folder / "out"
        self.graph = self.out / graph.name
        weights = self.out / "graph.bin" if graph.suffix == ".xml" else None
        get_network(
            graph=self.graph, train_ini=self.out / "train.ini", provenance=self.out / "provenance.json",
            directory=folder, weights=weights, **settings,
        )  # fmt: skip
        record = json.loads((self.out / "provenance.json").read_text())
        values = record.get("description")
        self.description: Description = None if values is None else from_values(values)
        self.names = (self.out / "train.ini").read_text().split("=")[1].strip().split(",")

    def opened(self, engine: str, size: Size | None = None, batch_size: int = 2, **more: object) -> Engine:
        return open_engine(
            self.graph, engine=engine, size=size or self.description.size, batch_size=batch_size, threads=1,
            description=self.description, names=len(self.names), engines=self.out / "engines", **more,
        )  # fmt: skip


def found(network: Network, engine: str, threshold: float = 0.25, **more: object) -> list[tuple]:
    """Return the boxes found in a black picture: box, label and score."""
    with network.opened(engine, **more) as opened:
        shape = (2, opened.size.height, opened.size.width, 3)
        outputs = opened.infer(np.zeros(shape, network.description.resize.dtype))
        assert len(outputs.boxes) == 2
        kept = select(outputs.boxes[1], outputs.scores[1], threshold, opened.nms)
    scores = kept.scores[np.arange(len(kept.labels)), kept.labels]
    return [
        (tuple(box.round(3).tolist()), int(label), round(float(score), 3))
        for box, label, score in zip(kept.boxes, kept.labels, scores, strict=True)
    ]


def names(folder: Path, *species: str) -> None:
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in species or ("cod", "crab")))
