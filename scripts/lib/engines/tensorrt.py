"""TensorRT on an NVIDIA GPU: two batches under way, each with a context, a stream and memory of its own."""

import logging
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines import nms_settings
from scripts.lib.engines.base import Engine, Outputs, check_outputs
from scripts.lib.engines.cuda import Buffer, Gpu
from scripts.lib.engines.engine_file import engine_parts, load_engine
from scripts.lib.engines.layouts import find_layout
from scripts.lib.engines.tensorrt_build import checked, load_tensorrt, make_logger
from scripts.lib.engines.top_k import MOST, OUTPUTS, PLACES, Candidates
from scripts.lib.errors import DeviceError, GraphError
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
            size: of the network's input.
            batch_size: frames a batch.
            precision: f16 or f32.
            folder: of the engine files.
            nms: the network's settings; when None those in the graph's metadata, else OpenEM's.
            least_score: leave out anchors that score less in every class, which are then not copied; None: give all.

        Raises:
            GraphError: the file cannot be read, or its layout is not known.
            DeviceError: GPU, driver or package is not there, or fails.
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
            stack.callback(self._drop, loaded)
            with self._gpu.current():
                tensors = _tensors(trt, loaded[0], str(graph), logger)
            picks = tensors.candidates and least_score is not None
            for _ in range(self.depth):
                place = _Place(self._gpu, logger, least_score if picks else None)
                stack.callback(place.close)
                place.open(loaded[0], tensors, (batch_size, size.height, size.width, 3))
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

    def _drop(self, loaded: list[Any]) -> None:
        """Let go of the engine, then of its runtime."""
        with self._gpu.current():
            while loaded:
                loaded.pop(0)


class _Tensors(NamedTuple):
    """The names of an engine's tensors, the layout that they are of, and whether it picks candidates."""

    frames: str
    boxes: str
    scores: str
    layout: str
    candidates: bool


class _Place:
    """What a batch under way needs: a context of the engine, a stream, and memory for each tensor."""

    def __init__(self, gpu: Gpu, logger: Any, least_score: float | None) -> None:
        self._gpu, self._logger, self._least_score = gpu, logger, least_score
        self._context: Any = None
        self._stream: Any = None
        self._buffers: list[Buffer] = []
        self._frames = 0

    def open(self, engine: Any, tensors: _Tensors, shape: tuple[int, ...]) -> None:
        """Make the context and the memory, for batches of a shape.

        Raises:
            DeviceError: naming the call that failed.
        """
        with self._gpu.current():
            self._stream = self._gpu.stream()
            self._context = self._checked("ICudaEngine.create_execution_context", engine.create_execution_context())
            self._checked("IExecutionContext.set_input_shape", self._context.set_input_shape(tensors.frames, shape))
            if vague := self._context.infer_shapes():
                raise DeviceError(f"TensorRT's IExecutionContext.infer_shapes lacks the shapes of {', '.join(vague)}")
            names = [tensors.frames, tensors.boxes, tensors.scores, *(OUTPUTS if tensors.candidates else ())]
            for name in names:
                dtype = {tensors.frames: np.uint8, PLACES: np.int32}.get(name, np.float32)
                buffer = self._gpu.buffer(self._shape(name), dtype)
                self._buffers.append(buffer)
                self._checked(
                    "IExecutionContext.set_tensor_address", self._context.set_tensor_address(name, buffer.address)
                )
        if self._buffers[0].host.shape != shape:
            raise DeviceError(f"the engine takes batches of {self._buffers[0].host.shape}; expected {shape}")

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
        frames = self._buffers[0]
        frames.host[: len(batch)] = batch
        frames.host[len(batch) :] = 0
        self._frames = len(batch)
        frames.upload(self._stream)
        self._checked(
            "IExecutionContext.execute_async_v3", self._context.execute_async_v3(stream_handle=self._stream.handle)
        )
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

    def _download(self, buffers: list[Buffer]) -> None:
        for buffer in buffers:
            buffer.download(self._stream)

    def close(self) -> None:
        """Free everything, whatever of it fails."""
        with self._gpu.current(), ExitStack() as stack:
            stack.callback(self._forget)
            for buffer in self._buffers:
                stack.callback(buffer.free)
            if self._stream is not None:
                self._stream.synchronize()

    def _forget(self) -> None:
        self._buffers.clear()
        self._context = self._stream = None

    def _shape(self, name: str) -> tuple[int, ...]:
        dims = self._checked("IExecutionContext.get_tensor_shape", self._context.get_tensor_shape(name))
        try:
            return tuple(dims)
        except ValueError as error:  # its length is -1
            raise DeviceError(f"TensorRT's IExecutionContext.get_tensor_shape gives no shape of {name}") from error

    def _checked(self, name: str, result: Any) -> Any:
        return checked(name, result, self._logger)


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
