"""Run a network whose family has a description, in any engine: the interface of a runner, and how it is opened."""

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Pixels, Size
from scripts.lib.closeable import Closeable
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.engines.described.decoding import Decoder
from scripts.lib.engines.onnx_graphs.top_k_described import RawOutputs
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.request import EngineRequest
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.feeding import Input, read_input
from scripts.lib.graphs.operators import check_operators
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.suppression import FINAL, Nms

Arrays = Sequence[npt.NDArray[Any]]


class Runner(Closeable):
    """Runs a graph on batches of frames.

    Attributes:
        depth: largest number of batches that may be started and not yet finished.
        version: version of the library that runs the graph.
        record: further values for the records of the media.
    """

    depth: int
    version: str
    record: Mapping[str, object] = MappingProxyType({})

    @abstractmethod
    def start(self, batch: Pixels) -> None:
        """Begin a batch, (n, H, W, 3) BGR of the resize's dtype, not to be changed before `finish` gave its outputs."""

    @abstractmethod
    def finish(self) -> list[RawOutputs]:
        """Wait for the oldest unfinished batch and return its outputs, one item for each part that was run at once."""

    def select_top_k(self, min_score: float) -> int | None:
        """Return only boxes that may score `min_score` or more from now on, if the engine can select them.

        A batch must have been run before, and no batch may be unfinished.

        Returns:
            The number of boxes selected in each picture; None if all boxes are returned.
        """
        del min_score
        return None


class DescribedEngine(Engine):
    """A network whose input and outputs are defined by a description."""

    def __init__(
        self, runner: Runner, description: Description, *, graph: str, names: int, size: Size, batch_size: int,
        nms: Nms | None, record: dict[str, object], min_score: float | None = None,
    ) -> None:  # fmt: skip
        """Run the network once on a black frame, and again if the best boxes are selected, to check its outputs.

        Args:
            runner: runs the network.
            description: the network's description.
            graph: name of the graph for errors.
            names: number of class names.
            size: the size of the network's input.
            batch_size: number of frames in a batch.
            nms: suppression settings that replace the description's.
            record: values of the engine for the records of the media.
            min_score: boxes that score less in every class are left out, if the engine can; None to return all.

        Raises:
            GraphError: the outputs do not match the description.
        """
        self._runner, self._decoder, self._graph = runner, Decoder(description, size, names, graph, min_score), graph
        self._counts: deque[int] = deque()
        self.batch_size, self.size, self.classes, self.depth = batch_size, size, names, runner.depth
        self.nms = nms or description.suppression or FINAL
        self.description = {**record, **runner.record, "layout": description.family, "version": runner.version}
        try:
            frame = np.zeros((1, size.height, size.width, 3), description.resize.dtype)
            self.infer(frame)
            if min_score is not None and (most := runner.select_top_k(min_score)) is not None:
                self.description["candidates"] = most
                self.infer(frame)
        except BaseException:
            runner.close()
            raise

    def start(self, batch: Pixels) -> None:
        """Begin a batch."""
        self._runner.start(batch)
        self._counts.append(len(batch))

    def finish(self) -> Outputs:
        """Return the outputs of the oldest batch; frames with fewer boxes are padded with boxes of score 0."""
        expected = self._counts.popleft()
        parts = [self._decoder.decode(outputs) for outputs in self._runner.finish()]
        count = sum(len(part.boxes) for part in parts)
        if count != expected:
            raise GraphError(
                f"{self._graph}: gives the boxes of {count} pictures where {expected} went in; expected those of each: "
                "set detect.batch_size: 1, or export it with an axis for the batch in its outputs too"
            )
        if len(parts) == 1:
            return parts[0]
        most = max(part.boxes.shape[1] for part in parts)
        return Outputs(
            *(np.concatenate([_padded(array, most) for array in arrays]) for arrays in zip(*parts, strict=True))
        )

    def close(self) -> None:
        """Free the engine."""
        self._runner.close()


class MakeRunner(Protocol):
    """Creates an engine's runner for a graph."""

    def __call__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int
    ) -> Runner:
        """Load a graph.

        Args:
            graph: a `.pb`, `.onnx` or `.xml` file.
            description: the network's description.
            taken: the network's input.
            size: the size of the network's input.
            batch_size: number of frames in a batch, for engines that allocate memory for them.
            threads: number of CPU threads.
        """
        ...


def open_described(
    request: EngineRequest, description: Description, *, engine: str, make_runner: MakeRunner, device: Device | None
) -> Engine:
    """Open a network that has a description.

    Args:
        request: the request; its graph is a `.pb`, `.onnx` or `.xml` file.
        description: the network's description.
        engine: name of the engine, for the record.
        make_runner: creates the engine's runner for the graph.
        device: the device that computes, for the record; None if the runner records it.

    Raises:
        GraphError: the graph cannot be used, or does not match the description.
        DeviceError: a GPU is requested, and is missing or fails.
    """
    graph, size, batch_size, threads = request.graph, request.size, request.batch_size, request.threads
    check_operators(graph)
    taken = read_input(read_file(graph), description, size)
    runner = make_runner(graph, description, taken, size=size, batch_size=batch_size, threads=threads)
    record: dict[str, object] = {
        "name": engine,
        "version": None,
        **(device.record if device else {}),
        "precision": request.precision,
        **({"threads": threads} if device else {}),
        "batch_size": batch_size,
    }
    return DescribedEngine(
        runner, description, graph=str(graph), names=request.names, size=size, batch_size=batch_size,
        nms=request.nms, record=record, min_score=request.min_score,
    )  # fmt: skip


def _padded(array: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.float32]:
    missing = most - array.shape[1]
    return np.pad(array, [(0, 0), (0, missing), (0, 0)]) if missing else array


def split_batch(batch: Pixels, size: int) -> list[Pixels]:
    """Return a batch as parts of `size` frames; the last part may be smaller."""
    return [batch[start : start + size] for start in range(0, len(batch), size)]


def pad_batch(part: Pixels, count: int | None) -> Pixels:
    """Return frames, padded with black ones to `count`; unchanged if `count` is None."""
    missing = (count or len(part)) - len(part)
    return np.pad(part, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else part


def without_padding(outputs: Arrays, per_frame: int, count: int, padded_count: int) -> list[RawOutputs]:
    """Return the outputs of the first `count` frames, without those of the padding.

    Args:
        outputs: outputs of the whole batch.
        per_frame: number of outputs that describe a frame. If there are more, each frame has separate ones.
        count: number of frames.
        padded_count: number of frames including the padding.
    """
    if len(outputs) > per_frame:
        return [RawOutputs(outputs[first : first + per_frame]) for first in range(0, count * per_frame, per_frame)]
    return [RawOutputs(outputs if count == padded_count else [output[:count] for output in outputs])]


def find_output(output: int | str, names: Sequence[str], graph: str) -> str:
    """Return the name of the output with this name or index.

    Raises:
        GraphError: the graph has no such output.
    """
    if isinstance(output, int) and 0 <= output < len(names):
        return names[output]
    for name in names:
        if name in (output, f"{output}:0"):
            return name
    raise missing_output_error(output, names, graph)


def missing_output_error(output: int | str, names: Sequence[str], graph: str) -> GraphError:
    """Return the error for an output that is not in a graph; `names` are those that are."""
    return GraphError(
        f"{graph}: has no output {output!r}, but {', '.join(names) or 'none'}; expected it: correct network.family, or "
        "outputs in network.description (a name, or a place from 0)"
    )
