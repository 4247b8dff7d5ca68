"""OpenVINO on the CPU: reads OpenEM's and keras-retinanet's frozen graphs, and ONNX, without TensorFlow."""

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.base import Engine, Outputs, check_outputs
from scripts.lib.engines.openvino.graph import compile_for_cpu, cut, load_openvino, read_graph, read_nms
from scripts.lib.suppression import Nms

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]


class Slot(NamedTuple):
    """A place for a batch: a request for each frame, and where they write."""

    requests: "list[openvino.InferRequest]"
    outputs: Outputs

    def first(self, count: int) -> "Slot":
        """Return the part that so many frames take."""
        return Slot(self.requests[:count], self.outputs.first(count))


class OpenVinoEngine(Engine):
    """A graph cut before its suppression, compiled for the CPU; the graph subtracts the mean.

    The frames of a batch go through it one by one, in as many streams as there are threads, since threads that share a
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
            batch_size: frames in a batch.
            threads: number of CPU threads.
            nms: suppression settings, instead of the graph's own; a graph that was cut has none.

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
            "precision": "int8" if any(op.get_type_name() == "FakeQuantize" for op in model.get_ops()) else "f32",
            "threads": threads,
            "batch_size": batch_size,
            "layout": layout.name,
        }
        compiled = compile_for_cpu(part, str(graph), threads=threads, requests=batch_size)
        self._tensor = ov.Tensor
        self._idle = deque(self._slot(compiled, boxes, scores) for _ in range(self.depth))
        self._under_way: deque[tuple[Slot, Slot]] = deque()  # a place, and as much of it as is in use

    def _slot(self, compiled: "openvino.CompiledModel", *shapes: tuple[int, ...]) -> Slot:
        outputs = Outputs(*(np.empty((self.batch_size, *shape[1:]), np.float32) for shape in shapes))
        requests = [compiled.create_infer_request() for _ in range(self.batch_size)]
        for at, request in enumerate(requests):
            for number, output in enumerate(outputs):
                request.set_output_tensor(number, self._tensor(output[at : at + 1], shared_memory=True))
        return Slot(requests, outputs)

    def start(self, batch: Pixels) -> None:
        """Begin a batch; its bytes are read in place."""
        slot = self._idle.popleft()
        used = slot.first(len(batch))
        for at, request in enumerate(used.requests):
            request.set_input_tensor(self._tensor(batch[at : at + 1], shared_memory=True))
            request.start_async()
        self._under_way.append((slot, used))

    def finish(self) -> Outputs:
        """Wait for the oldest batch under way."""
        slot, used = self._under_way.popleft()
        self._idle.append(slot)
        for request in used.requests:
            request.wait()
        return used.outputs

    def close(self) -> None:
        """Cancel all batches and free the engine."""
        requests = [request for _, used in self._under_way for request in used.requests]
        for request in requests:
            request.cancel()
        for request in requests:
            try:
                request.wait()
            except RuntimeError:
                continue  # it says that it was cancelled
        self._under_way.clear()
        self._idle.clear()
