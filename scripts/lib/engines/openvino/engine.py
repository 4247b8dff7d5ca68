"""OpenVINO on the CPU for RetinaNets: frozen graphs of OpenEM and keras-retinanet, and ONNX, without TensorFlow."""

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.base import Engine, Outputs, check_outputs
from scripts.lib.engines.openvino.graph import compile_for_cpu, cut, load_openvino, read_graph, read_nms
from scripts.lib.engines.openvino.quantized import is_quantized
from scripts.lib.suppression import Nms

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]


class Slot(NamedTuple):
    """A request for each frame of a batch, and the arrays that the requests write to."""

    requests: "list[openvino.InferRequest]"
    outputs: Outputs

    def first(self, count: int) -> "Slot":
        """Return the part of the slot for the first `count` frames."""
        return Slot(self.requests[:count], self.outputs.first(count))


class OpenVinoEngine(Engine):
    """A graph that is cut before its suppression and compiled for the CPU.

    Each frame of a batch is a separate request, and there are as many streams as threads, since threads that share a
    frame wait for each other.
    """

    depth = 2

    def __init__(
        self,
        graph: Path,
        *,
        size: Size,
        batch_size: int,
        threads: int,
        nms: Nms | None = None,
    ) -> None:
        """Read, cut and compile a graph.

        Args:
            graph: a `.pb` or `.onnx` file, or OpenVINO's own `.xml`.
            size: the size of the network's input.
            batch_size: number of frames in a batch.
            threads: number of CPU threads.
            nms: suppression settings that replace those of the graph.

        Raises:
            GraphError: the file cannot be read, or its layout is not known.
        """
        ov = load_openvino()
        model, layout = read_graph(graph)
        part = cut(model, layout, str(graph), 1, size)
        boxes, scores = (tuple(output.get_shape()) for output in part.outputs)
        self.batch_size, self.size = batch_size, size
        self.classes = check_outputs(boxes, scores, 1, str(graph))
        self.nms = nms or read_nms(model, layout, self.classes, str(graph))
        self.description = {
            "name": "openvino",
            "version": ov.get_version(),
            "device": "CPU",
            "precision": "int8" if is_quantized(model) else "f32",
            "threads": threads,
            "batch_size": batch_size,
            "layout": layout.name,
        }
        compiled = compile_for_cpu(part, str(graph), threads=threads, requests=batch_size)
        self._tensor = ov.Tensor
        self._idle = deque(self._slot(compiled, boxes, scores) for _ in range(self.depth))
        self._pending: deque[tuple[Slot, Slot]] = deque()  # a slot, and the part of it that is used

    def _slot(self, compiled: "openvino.CompiledModel", *shapes: tuple[int, ...]) -> Slot:
        outputs = Outputs(*(np.empty((self.batch_size, *shape[1:]), np.float32) for shape in shapes))
        requests = [compiled.create_infer_request() for _ in range(self.batch_size)]
        for frame, request in enumerate(requests):
            for index, output in enumerate(outputs):
                request.set_output_tensor(index, self._tensor(output[frame : frame + 1], shared_memory=True))
        return Slot(requests, outputs)

    def start(self, batch: Pixels) -> None:
        """Begin a batch; its bytes are not copied."""
        slot = self._idle.popleft()
        used = slot.first(len(batch))
        for frame, request in enumerate(used.requests):
            request.set_input_tensor(self._tensor(batch[frame : frame + 1], shared_memory=True))
            request.start_async()
        self._pending.append((slot, used))

    def finish(self) -> Outputs:
        """Wait for the oldest unfinished batch and return its outputs."""
        slot, used = self._pending.popleft()
        self._idle.append(slot)
        for request in used.requests:
            request.wait()
        return used.outputs

    def close(self) -> None:
        """Cancel all batches and free the engine."""
        requests = [request for _, used in self._pending for request in used.requests]
        for request in requests:
            request.cancel()
        for request in requests:
            try:
                request.wait()
            except RuntimeError:
                continue  # the error says that the request was cancelled
        self._pending.clear()
        self._idle.clear()
