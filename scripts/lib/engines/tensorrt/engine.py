"""TensorRT on an NVIDIA GPU: two batches under way, each with a context, a stream and memory of its own."""

import logging
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.base import Engine, Outputs, check_outputs
from scripts.lib.engines.onnx_graphs.top_k import MOST, OUTPUTS, PLACES, Candidates
from scripts.lib.engines.tensorrt.build import checked, load_tensorrt, make_logger
from scripts.lib.engines.tensorrt.cuda import Buffer, Gpu
from scripts.lib.engines.tensorrt.engine_file import engine_parts, let_go, load_engine
from scripts.lib.engines.tensorrt.place import Place
from scripts.lib.errors import DeviceError, GraphError
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.layouts import find_layout
from scripts.lib.suppression import Nms

_log = logging.getLogger(__name__)


class TensorRtEngine(Engine):
    """A cut ONNX graph, built for this machine's GPU."""

    depth = 2

    def __init__(
        self, graph: Path, *, size: Size, batch_size: int, precision: str, folder: Path, nms: Nms | None = None,
        least_score: float | None = None,
    ) -> None:  # fmt: skip
        """Load the engine file of a graph, or build it.

        Args:
            graph: an `.onnx` file.
            size: the size of the network's input.
            batch_size: frames in a batch.
            precision: f16 or f32.
            folder: the folder of the engine files.
            nms: the network's settings; when None those in the graph's metadata, else OpenEM's.
            least_score: leave out anchors that score less in every class, which are then not copied; None: give all.

        Raises:
            GraphError: the file cannot be read, or its layout is not known.
            DeviceError: GPU, driver or package is missing or fails.
        """
        trt = load_tensorrt()
        self.batch_size, self.size, self.nms = batch_size, size, nms or nms_settings.of_onnx(graph)
        self._under_way: deque[_Place] = deque()
        self._idle: deque[_Place] = deque()
        with ExitStack() as stack:
            self._gpu = stack.enter_context(Gpu())
            logger = make_logger(trt)
            parts = engine_parts(trt, self._gpu, graph, size=size, batch_size=batch_size, precision=precision)
            loaded = load_engine(trt, self._gpu, logger, graph=graph, folder=folder, parts=parts)
            stack.callback(let_go, self._gpu, loaded)
            with self._gpu.current():
                tensors = _tensors(trt, loaded[0], str(graph), logger)
            picks = tensors.candidates and least_score is not None
            for _ in range(self.depth):
                place = _Place(self._gpu, logger, least_score if picks else None)
                stack.callback(place.close)
                place.open(loaded[0], tensors.kinds, (batch_size, size.height, size.width, 3))
                self._idle.append(place)
            self.classes = check_outputs(*place.output_shapes, batch_size, str(graph))
            self._cleanup = stack.pop_all()
        self.description = {
            "name": "tensorrt",
            "version": parts.tensorrt,
            "device": parts.gpu.name,
            "precision": precision,
            "batch_size": batch_size,
            "layout": tensors.layout,
            "compute_capability": parts.gpu.compute_capability,
            "driver": parts.gpu.driver,
            "file": parts.file,
            **({"candidates": MOST} if picks else {}),
        }

    def start(self, batch: Pixels) -> None:
        """Begin a batch, of which this takes a copy."""
        place = self._idle.popleft()
        with self._gpu.current():
            place.start(batch)
        self._under_way.append(place)

    def finish(self) -> Outputs:
        """Wait for the oldest batch under way."""
        place = self._under_way.popleft()
        with self._gpu.current():
            outputs = place.finish()
        self._idle.append(place)
        return outputs

    def close(self) -> None:
        """Wait for what is under way and free everything, the memory of the last outputs too; may be called again."""
        self._under_way.clear()
        self._idle.clear()
        self._cleanup.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DeviceError as second:
            if error is None:
                raise
            _log.warning("%s", second)  # what came first is what the user has to know


class _Tensors(NamedTuple):
    """The names of an engine's tensors, the layout that they are of, and whether it picks candidates."""

    frames: str
    boxes: str
    scores: str
    layout: str
    candidates: bool

    @property
    def kinds(self) -> dict[str, npt.DTypeLike]:
        """The type of each, the frames' first."""
        picked = {name: np.int32 if name == PLACES else np.float32 for name in (OUTPUTS if self.candidates else ())}
        return {self.frames: np.uint8, self.boxes: np.float32, self.scores: np.float32, **picked}


class _Place(Place):
    """A place for a batch of a network whose best anchors may be picked."""

    def __init__(self, gpu: Gpu, logger: Any, least_score: float | None) -> None:
        super().__init__(gpu, logger)
        self._least_score = least_score

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of boxes and scores."""
        return self._buffers[1].host.shape, self._buffers[2].host.shape

    @property
    def _whole(self) -> list[Buffer]:
        """Boxes and scores of all anchors."""
        return self._buffers[1:3]

    @property
    def _picked(self) -> list[Buffer]:
        """The candidates, where they are asked for."""
        return self._buffers[3:] if self._least_score is not None else []

    def start(self, batch: Pixels) -> None:
        """Queue a batch; the GPU is current."""
        self._execute(batch)
        self._download(self._picked or self._whole)

    def finish(self) -> Outputs:
        """Wait for the batch; the GPU is current."""
        self._stream.synchronize()
        if self._least_score is not None:
            found = Candidates(*(buffer.host for buffer in self._picked)).first(self._frames)
            if (outputs := found.outputs(self._least_score)) is not None:
                return outputs
            self._download(self._whole)
            self._stream.synchronize()
        return Outputs(*(buffer.host for buffer in self._whole)).first(self._frames)


def _tensors(trt: ModuleType, engine: Any, graph: str, logger: Any) -> _Tensors:
    """Return the names of an engine's tensors.

    Raises:
        GraphError: they are not bytes in, and floats of a known layout out.
    """
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    for at in range(engine.num_io_tensors):
        name = checked("ICudaEngine.get_tensor_name", engine.get_tensor_name(at), logger)
        side = inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs
        side[name] = engine.get_tensor_dtype(name)
    picked = [outputs.pop(name) for name in OUTPUTS if name in outputs]
    layout = find_layout([{name} for name in outputs], graph)
    if list(inputs.values()) != [trt.DataType.UINT8] or set(outputs.values()) != {trt.DataType.FLOAT}:
        raise GraphError(f"{graph}: its engine takes {inputs} and gives {outputs}; expected bytes in, and floats out")
    return _Tensors(next(iter(inputs)), layout.boxes, layout.scores, layout.name, bool(picked))
