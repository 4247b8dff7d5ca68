"""Networks whose outputs are rows: boxes, scores and labels after suppression, as exported by torchvision.

Such a graph takes one picture at a time. Its file defines neither the pixel format nor the first label.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Floats, Pixels, Size
from scripts.lib.engines.base import Engine, Outputs, labels_text, whole_labels
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.request import EngineRequest, RowsConvention
from scripts.lib.errors import GraphError, PipelineError, SettingsError
from scripts.lib.preprocessing.preprocess import MEAN
from scripts.lib.suppression import FINAL, Nms

_COLOURS = 3

# For each value of network.pixels: whether the colours are reversed to RGB, mean, divisor.
PIXELS: dict[str, tuple[bool, tuple[float, float, float], float]] = {
    "rgb_0_to_1": (True, (0.0, 0.0, 0.0), 255.0),
    "rgb_0_to_255": (True, (0.0, 0.0, 0.0), 1.0),
    "bgr_0_to_255": (False, (0.0, 0.0, 0.0), 1.0),
    "bgr_less_mean": (False, MEAN, 1.0),
}
_BYTE_PIXELS = ("rgb_0_to_255", "bgr_0_to_255")  # formats for inputs of type uint8


class RowsInput(NamedTuple):
    """The only input of a graph.

    Attributes:
        shape: the dimensions; None for one of any length.
        takes_bytes: whether the type is uint8; float32 otherwise.
    """

    shape: Sequence[int | None]
    takes_bytes: bool


# Computes boxes, scores and labels from one picture in the form of the graph's input.
Run = Callable[[npt.NDArray[Any]], Sequence[npt.NDArray[Any]]]


class RowsGraph(NamedTuple):
    """A graph whose outputs are rows, loaded by an engine.

    Attributes:
        run: the function that runs the graph.
        input: the graph's input.
        version: version of the engine's library.
    """

    run: Run
    input: RowsInput
    version: str


# Loads a graph with a number of threads; returns None if its outputs are not rows.
ReadRows = Callable[[Path, int], RowsGraph | None]


class RowsEngine(Engine):
    """Runs a graph whose outputs are rows; the score of a row is in the column of its class, the others are 0."""

    depth = 1

    def __init__(
        self, run: Run, graph_input: RowsInput, *, graph: str, size: Size, batch_size: int, nms: Nms | None,
        convention: RowsConvention | None, description: dict[str, object],
    ) -> None:  # fmt: skip
        """Check that graph and settings fit, and run the graph once on a black frame.

        Args:
            run: the function that runs the graph.
            graph_input: the graph's input.
            graph: name of the graph for errors.
            size: the size of the network's input.
            batch_size: number of frames in a batch; the graph processes them one by one.
            nms: settings of a further suppression; None for none.
            convention: the properties that the graph's file does not define.
            description: values for the record.

        Raises:
            SettingsError: a setting is missing that the graph needs.
            GraphError: the graph's input or outputs are not as expected.
        """
        self._pixels, self._first, self.classes = _checked_convention(convention, graph_input, graph)
        self._channels, self._rank = _channel_axis(graph_input, size, graph), len(graph_input.shape)
        self._takes_bytes = graph_input.takes_bytes
        self._run: Run | None = run
        self._graph, self.size, self.batch_size, self.nms = graph, size, batch_size, nms or FINAL
        self.description = description | {"pixels": self._pixels, "first_label": self._first}
        self._ready: deque[Outputs] = deque()
        self._rows(np.zeros((size.height, size.width, _COLOURS), np.uint8))

    def start(self, batch: Pixels) -> None:
        """Run a batch."""
        rows = [self._rows(picture) for picture in batch]
        most = max(len(boxes) for boxes, _, _ in rows)
        outputs = Outputs(
            np.zeros((len(batch), most, 4), np.float32), np.zeros((len(batch), most, self.classes), np.float32)
        )
        for frame, (boxes, scores, classes) in enumerate(rows):
            outputs.boxes[frame, : len(boxes)] = boxes
            outputs.scores[frame, np.arange(len(boxes)), classes] = scores
        self._ready.append(outputs)

    def finish(self) -> Outputs:
        """Return the outputs of the oldest batch."""
        return self._ready.popleft()

    def close(self) -> None:
        """Free the engine."""
        self._ready.clear()
        self._run = None

    def _rows(self, picture: Pixels) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
        """Return boxes (n, 4), scores (n,) and class indices (n,) of one picture, without padding."""
        if self._run is None:
            raise RuntimeError("the engine is closed")
        outputs = self._run(self._to_input(picture))
        try:
            boxes, scores, labels = (
                np.asarray(output).reshape(shape) for output, shape in zip(outputs, ((-1, 4), -1, -1), strict=True)
            )
        except ValueError as error:
            raise self._misshapen(outputs) from error
        if not len(boxes) == len(scores) == len(labels):
            raise self._misshapen(outputs)
        rows = ~(scores <= 0)  # NaN is kept here and refused later, as for all engines
        if self._first == 1:
            rows &= labels != 0  # the background
        indices = whole_labels(labels[rows]) - self._first
        if (wrong := (indices < 0) | (indices >= self.classes)).any():
            raise GraphError(
                f"{self._graph}: gives the labels {labels_text(labels[rows][wrong])}; expected {self._first} to "
                f"{self._first + self.classes - 1}, as train.ini has {self.classes} names and network.first_label is "
                f"{self._first}: correct one of them"
            )
        return boxes[rows].astype(np.float32), scores[rows].astype(np.float32), indices

    def _to_input(self, picture: Pixels) -> npt.NDArray[Any]:
        to_rgb, mean, divisor = PIXELS[self._pixels]
        content: npt.NDArray[Any] = picture[..., ::-1] if to_rgb else picture
        if not self._takes_bytes:
            content = (content.astype(np.float32) - np.asarray(mean, np.float32)) / np.float32(divisor)
        if self._channels == 0:
            content = content.transpose(2, 0, 1)
        return np.ascontiguousarray(content[None] if self._rank == 4 else content)

    def _misshapen(self, outputs: Sequence[npt.NDArray[Any]]) -> GraphError:
        shapes = ", ".join(str(np.asarray(output).shape) for output in outputs)
        return GraphError(
            f"{self._graph}: of one picture its boxes, scores and labels have the shapes {shapes}; "
            "expected (n, 4), (n,) and (n,), or the same with a 1 before"
        )


def open_rows(request: EngineRequest, *, engine: str, read: ReadRows, device: Device) -> Engine | None:
    """Return an engine for a graph whose outputs are rows; None for a graph of another layout.

    Args:
        request: the request; its graph is an `.onnx` file, or with OpenVINO an `.xml` file.
        engine: the engine's name, for the record.
        read: loads the graph in that engine.
        device: the device that computes, for the record.

    Raises:
        GraphError: the graph cannot be used.
        SettingsError: a setting is missing that the graph needs.
    """
    loaded = read(request.graph, request.threads)
    if loaded is None:
        return None
    description = {
        "name": engine,
        "version": loaded.version,
        **device.record,
        "precision": "f32",
        "threads": request.threads,
        "batch_size": request.batch_size,
        "layout": "rows",
    }
    return RowsEngine(
        _with_graph_error(loaded.run, request.graph, engine), loaded.input, graph=str(request.graph),
        size=request.size, batch_size=request.batch_size, nms=request.nms, convention=request.rows,
        description=description,
    )  # fmt: skip


def wrong_inputs(graph: Path, found: list[str]) -> GraphError:
    """Return the error for a graph that has other inputs than one picture."""
    return GraphError(f"{graph}: its inputs are {', '.join(found)}; expected one, of float32 or uint8: a picture")


def _with_graph_error(run: Run, graph: Path, engine: str) -> Run:
    """Return the function with the engine's errors as a GraphError that names the graph."""

    def run_graph(picture: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        try:
            return run(picture)
        except PipelineError:
            raise
        except Exception as error:  # the engines' errors have no common class below Exception
            raise GraphError(f"{graph}: {engine} cannot run it on a picture of {picture.shape}: {error}") from error

    return run_graph


def _checked_convention(convention: RowsConvention | None, graph_input: RowsInput, graph: str) -> tuple[str, int, int]:
    """Return pixel format, first label and number of classes.

    Raises:
        SettingsError: one of them is not set, or does not fit the input.
    """
    what = f"{graph}: its outputs are rows of boxes, scores and labels"
    if convention is None or convention.pixels is None:
        raise SettingsError(
            f"{what}, and the file does not define the pixel format; set network.pixels to one of {', '.join(PIXELS)} "
            "(torchvision: rgb_0_to_1)"
        )
    if convention.first_label is None:
        raise SettingsError(
            f"{what}, and the file does not define whether labels start at 0 or 1; set network.first_label to the "
            "label of the first name in train.ini: 1 where 0 is the background (torchvision), else 0"
        )
    if graph_input.takes_bytes and convention.pixels not in _BYTE_PIXELS:
        raise SettingsError(
            f"{graph}: it takes bytes, network.pixels is {convention.pixels}; expected {' or '.join(_BYTE_PIXELS)}"
        )
    return convention.pixels, convention.first_label, convention.classes


def _channel_axis(graph_input: RowsInput, size: Size, graph: str) -> int:
    """Return the axis of a picture's colours, 0 or 2; refuse an input where it is unclear, or of another size."""
    picture = list(graph_input.shape[-3:])
    single = len(graph_input.shape) == 3 or (len(graph_input.shape) == 4 and graph_input.shape[0] in (None, 1))
    fitting = []
    for axis, wanted in ((0, [_COLOURS, size.height, size.width]), (2, [size.height, size.width, _COLOURS])):
        if picture[axis : axis + 1] == [_COLOURS] and all(
            length in (None, expected) for length, expected in zip(picture, wanted, strict=True)
        ):
            fitting.append(axis)
    if not single or len(fitting) != 1:
        shape = ", ".join("?" if length is None else str(length) for length in graph_input.shape)
        raise GraphError(
            f"{graph}: its input is ({shape}); expected one picture of {size.width} x {size.height} pixels, "
            f"(3, {size.height}, {size.width}) or ({size.height}, {size.width}, 3), with or without a 1 before, the 3 "
            "fixed where the colours are: export it so, or correct detect.img_max_side and img_min_side"
        )
    return fitting[0]
