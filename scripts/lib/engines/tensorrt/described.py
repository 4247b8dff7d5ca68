"""TensorRT for described networks: the input is frames, and pixels are converted inside the engine."""

from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.described.engine import Runner, split_batch, without_padding
from scripts.lib.engines.onnx_graphs.top_k_described import (
    INDICES,
    MEAN,
    RawOutputs,
    TopK,
    plan_top_k,
    top_k_output_names,
)
from scripts.lib.engines.tensorrt.batch_slot import BatchSlot
from scripts.lib.engines.tensorrt.build import checked, load_tensorrt, make_logger
from scripts.lib.engines.tensorrt.cuda import Buffer, Gpu
from scripts.lib.engines.tensorrt.engine_file import engine_parts, load_engine, release_engine
from scripts.lib.engines.tensorrt.prepare_described import FRAMES, output_name
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.feeding import COLOURS, Input


class TensorRtRunner(Runner):
    """Runs a graph with TensorRT, as many frames at once as its input takes, and two batches at a time."""

    depth = 2

    def __init__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int,
        precision: str, folder: Path,
    ) -> None:  # fmt: skip
        """Load the engine file of a graph, or build it.

        Args:
            graph: an `.onnx` file.
            description: the network's description.
            taken: the network's input.
            size: the size of the network's input.
            batch_size: number of frames in a batch.
            threads: number of CPU threads; not used.
            precision: f16 or f32.
            folder: the folder of the engine files.

        Raises:
            GraphError: the graph cannot be used.
            DeviceError: GPU, driver or package is missing or fails.
        """
        trt = load_tensorrt()
        self._frames_at_once = taken.batch or batch_size
        self._outputs_per_frame = len(description.outputs.of_picture)
        self._pending: deque[tuple[list[_Slot], list[Pixels]]] = deque()
        self._idle: deque[list[_Slot]] = deque()
        names = [output_name(index) for index in range(len(description.outputs.all))]
        self._description = description
        with ExitStack() as stack:
            self._gpu = stack.enter_context(Gpu())
            logger = make_logger(trt)
            parts = engine_parts(
                trt, self._gpu, graph, size=size, batch_size=batch_size, precision=precision, description=description
            )
            loaded = load_engine(trt, self._gpu, logger, graph=graph, folder=folder, parts=parts)
            stack.callback(release_engine, self._gpu, loaded)
            with self._gpu.current():
                count = loaded[0].num_io_tensors
                tensors = [checked("ICudaEngine.get_tensor_name", loaded[0].get_tensor_name(index), logger)
                           for index in range(count)]  # fmt: skip
            self._has_top_k = MEAN in tensors
            selected = top_k_output_names(self._outputs_per_frame) if self._has_top_k else []
            kinds = {
                FRAMES: description.resize.dtype,
                **{name: np.int32 if name == INDICES else np.float32 for name in (*names, *selected)},
            }
            for _ in range(self.depth):
                slots = [_Slot(self._gpu, logger, len(names)) for _ in range(-(-batch_size // self._frames_at_once))]
                for slot in slots:
                    stack.callback(slot.close)
                    slot.open(loaded[0], kinds, (self._frames_at_once, size.height, size.width, COLOURS))
                self._idle.append(slots)
            self._cleanup = stack.pop_all()
        self.version = parts.tensorrt
        self.record = {
            "device": parts.gpu.name,
            "compute_capability": parts.gpu.compute_capability,
            "driver": parts.gpu.driver,
            "file": parts.file,
        }

    def start(self, batch: Pixels) -> None:
        """Begin a batch; it is copied, and may be changed afterwards."""
        slots, pieces = self._idle.popleft(), split_batch(batch, self._frames_at_once)
        with self._gpu.current():
            for slot, piece in zip(slots, pieces, strict=False):
                slot.start(piece)
        self._pending.append((slots, pieces))

    def finish(self) -> list[RawOutputs]:
        """Wait for the oldest unfinished batch; its outputs stay valid until the next `start`."""
        slots, pieces = self._pending.popleft()
        found: list[RawOutputs] = []
        with self._gpu.current():
            for slot, piece in zip(slots, pieces, strict=False):
                outputs = slot.finish(len(piece))
                found.extend(
                    [outputs]
                    if outputs.indices is not None
                    else without_padding(outputs.outputs, self._outputs_per_frame, len(piece), self._frames_at_once)
                )
        self._idle.append(slots)
        return found

    def select_top_k(self, min_score: float) -> int | None:
        """Copy only the boxes that may score `min_score` or more, if the engine selects them."""
        if not self._has_top_k:
            return None
        top_k = plan_top_k(self._description, self._idle[0][0].shapes)
        if top_k is None:
            return None
        for slots in self._idle:
            for slot in slots:
                slot.selection = (top_k, min_score)
        return top_k.most

    def close(self) -> None:
        """Wait for unfinished batches and free everything; may be called again."""
        self._pending.clear()
        self._idle.clear()
        self._cleanup.close()


class _Slot(BatchSlot):
    """A slot for as many frames as the network takes at once.

    Attributes:
        selection: how the best boxes are selected, and their minimum score; None if all boxes are copied.
    """

    def __init__(self, gpu: Gpu, logger: Any, count: int) -> None:
        """Store the number of the network's outputs; those of the selection follow them."""
        super().__init__(gpu, logger)
        self._output_count = count
        self.selection: tuple[TopK, float] | None = None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the network's outputs."""
        return [buffer.host.shape for buffer in self._whole]

    @property
    def _whole(self) -> list[Buffer]:
        return self._buffers[1 : 1 + self._output_count]

    @property
    def _selected(self) -> list[Buffer]:
        return self._buffers[1 + self._output_count :]

    def start(self, piece: Pixels) -> None:
        """Start a batch; the GPU must be current."""
        self._execute(piece)
        self._download(self._selected if self.selection else self._whole)

    def finish(self, count: int) -> RawOutputs:
        """Wait for a batch of `count` frames and return its outputs; the GPU must be current."""
        self._stream.synchronize()
        if self.selection is not None:
            top_k, min_score = self.selection
            found = top_k.rows([buffer.host[:count] for buffer in self._selected], min_score)
            if found is not None:
                return found
            self._download(self._whole)
            self._stream.synchronize()
        return RawOutputs([buffer.host for buffer in self._whole])
