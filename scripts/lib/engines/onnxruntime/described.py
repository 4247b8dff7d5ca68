"""onnxruntime on the CPU for networks whose family has a description."""

from collections import deque
from pathlib import Path
from typing import Any

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.described.engine import Runner, find_output, pad_batch, split_batch, without_padding
from scripts.lib.engines.onnx_graphs.top_k_described import RawOutputs
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.onnxruntime.engine import read_session, refuse_bfloat16
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.feeding import Input, numbers


class OnnxRuntimeRunner(Runner):
    """Runs an ONNX graph with onnxruntime on the CPU; pixels are converted outside the graph."""

    depth = 1

    def __init__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int,
        device: Device,
    ) -> None:  # fmt: skip
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: exporters write wrong shapes, which cause warnings
        self._session: Any = read_session(graph, options, device)
        self._device = device
        self._graph, self._pixels, self._taken, self._size = graph, description.pixels, taken, size
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = [find_output(output, names, str(graph)) for output in description.outputs.all]
        refuse_bfloat16(self._session, self._outputs, graph)
        self._outputs_per_frame = len(description.outputs.of_picture)
        self._ready: deque[list[RawOutputs]] = deque()
        self.version = str(onnxruntime.__version__)

    def start(self, batch: Pixels) -> None:
        """Run a batch."""
        if self._session is None:
            raise RuntimeError("the engine is closed")
        found = [self._run(part) for part in split_batch(batch, self._taken.batch or len(batch))]
        self._ready.append([one for part in found for one in part])

    def _run(self, part: Pixels) -> list[RawOutputs]:
        whole = pad_batch(part, self._taken.batch)
        content = numbers(whole, self._pixels, self._taken)
        try:
            others = self._taken.others_of(len(whole))
            found = self._session.run(self._outputs, {self._taken.name: content, **others})
        except Exception as error:  # onnxruntime's errors have no common base class
            advice = "; set detect.batch_size: 1, if it takes one picture at a time" if len(whole) > 1 else ""
            raise GraphError(f"{self._graph}: onnxruntime cannot run it on {content.shape}: {error}{advice}") from error
        return without_padding(found, self._outputs_per_frame, len(part), len(whole))

    def finish(self) -> list[RawOutputs]:
        """Return the outputs of the oldest batch."""
        return self._ready.popleft()

    def close(self) -> None:
        """Free the session."""
        self._ready.clear()
        self._session = None
