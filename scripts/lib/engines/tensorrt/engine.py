"""TensorRT on an NVIDIA GPU: two batches at a time, each with a separate context, stream and memory."""

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
from scripts.lib.engines.onnx_graphs.top_k import INDICES, MOST, OUTPUTS, Candidates
from scripts.lib.engines.tensorrt.batch_slot import BatchSlot
from scripts.lib.engines.tensorrt.build import checked, load_tensorrt, make_logger
from scripts.lib.engines.tensorrt.cuda import Buffer, Gpu
from scripts.lib.engines.tensorrt.engine_file import engine_parts, load_engine, release_engine
from scripts.lib.errors import DeviceError, GraphError
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.layouts import find_layout
from scripts.lib.suppression import Nms

_log = logging.getLogger(__name__)


class TensorRtEngine(Engine):
    """An ONNX graph cut before its suppression, built for this machine's GPU."""

    depth = 2

    def __init__(
        self, graph: Path, *, size: Size, batch_size: int, precision: str, folder: Path, nms: Nms | None = None,
        min_score: float | None = None,
    ) -> None:  # fmt: skip
        """Load the engine file of a graph, or build it.

        Args:
            graph: an `.onnx` file.
            size: the size of the network's input.
            batch_size: number of frames in a batch.
            precision: f16 or f32.
            folder: the folder of the engine files.
            nms: suppression settings; None for those in the graph's metadata, or OpenEM's if it has none.
            min_score: anchors that score less in every class may be left out; None to return all.

        Raises:
            GraphError: the file cannot be read, or its layout is not known.
            DeviceError: GPU, driver or package is missing or fails.
        """
        trt = load_tensorrt()
        self.batch_size, self.size, self.nms = batch_size, size, nms or nms_settings.from_onnx(graph)
        self._pending: deque[_Slot] = deque()
        self._idle: deque[_Slot] = deque()
        with ExitStack() as stack:
            self._gpu = stack.enter_context(Gpu())
            logger = make_logger(trt)
            parts = engine_parts(trt, self._gpu, graph, size=size, batch_size=batch_size, precision=precision)
            loaded = load_engine(trt, self._gpu, logger, graph=graph, folder=folder, parts=parts)
            stack.callback(release_engine, self._gpu, loaded)
            with self._gpu.current():
                tensors = _tensors(trt, loaded[0], str(graph), logger)
            selects = tensors.candidates and min_score is not None
            for _ in range(self.depth):
                slot = _Slot(self._gpu, logger, min_score if selects else None)
                stack.callback(slot.close)
                slot.open(loaded[0], tensors.kinds, (batch_size, size.height, size.width, 3))
                self._idle.append(slot)
            self.classes = check_outputs(*slot.output_shapes, batch_size, str(graph))
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
            **({"candidates": MOST} if selects else {}),
        }

    def start(self, batch: Pixels) -> None:
        """Begin a batch; it is copied, and may be changed afterwards."""
        slot = self._idle.popleft()
        with self._gpu.current():
            slot.start(batch)
        self._pending.append(slot)

    def finish(self) -> Outputs:
        """Wait for the oldest unfinished batch and return its outputs."""
        slot = self._pending.popleft()
        with self._gpu.current():
            outputs = slot.finish()
        self._idle.append(slot)
        return outputs

    def close(self) -> None:
        """Wait for unfinished batches and free everything, including the last outputs; may be called again."""
        self._pending.clear()
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
            _log.warning("%s", second)  # the first error is the cause, and is raised


class _Tensors(NamedTuple):
    """The names of an engine's tensors, their layout, and whether the engine selects candidates."""

    frames: str
    boxes: str
    scores: str
    layout: str
    candidates: bool

    @property
    def kinds(self) -> dict[str, npt.DTypeLike]:
        """The types of the tensors by name, the frames first."""
        selected = {name: np.int32 if name == INDICES else np.float32 for name in (OUTPUTS if self.candidates else ())}
        return {self.frames: np.uint8, self.boxes: np.float32, self.scores: np.float32, **selected}


class _Slot(BatchSlot):
    """A slot for a batch of a network whose best anchors may be selected."""

    def __init__(self, gpu: Gpu, logger: Any, min_score: float | None) -> None:
        super().__init__(gpu, logger)
        self._min_score = min_score

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of boxes and scores."""
        return self._buffers[1].host.shape, self._buffers[2].host.shape

    @property
    def _whole(self) -> list[Buffer]:
        """Boxes and scores of all anchors."""
        return self._buffers[1:3]

    @property
    def _selected(self) -> list[Buffer]:
        """The candidates; empty if they are not used."""
        return self._buffers[3:] if self._min_score is not None else []

    def start(self, batch: Pixels) -> None:
        """Start a batch; the GPU must be current."""
        self._execute(batch)
        self._download(self._selected or self._whole)

    def finish(self) -> Outputs:
        """Wait for the batch and return its outputs; the GPU must be current."""
        self._stream.synchronize()
        if self._min_score is not None:
            found = Candidates(*(buffer.host for buffer in self._selected)).first(self._frames)
            if (outputs := found.outputs(self._min_score)) is not None:
                return outputs
            self._download(self._whole)
            self._stream.synchronize()
        return Outputs(*(buffer.host for buffer in self._whole)).first(self._frames)


def _tensors(trt: ModuleType, engine: Any, graph: str, logger: Any) -> _Tensors:
    """Return the names of an engine's tensors.

    Raises:
        GraphError: the input is not uint8, or the outputs are not floats of a known layout.
    """
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    for index in range(engine.num_io_tensors):
        name = checked("ICudaEngine.get_tensor_name", engine.get_tensor_name(index), logger)
        side = inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs
        side[name] = engine.get_tensor_dtype(name)
    candidates = [outputs.pop(name) for name in OUTPUTS if name in outputs]
    layout = find_layout([{name} for name in outputs], graph)
    if list(inputs.values()) != [trt.DataType.UINT8] or set(outputs.values()) != {trt.DataType.FLOAT}:
        raise GraphError(f"{graph}: its engine takes {inputs} and gives {outputs}; expected bytes in, and floats out")
    return _Tensors(next(iter(inputs)), layout.boxes, layout.scores, layout.name, bool(candidates))
