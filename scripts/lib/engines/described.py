"""Networks of the families that families.py describes, on OpenVINO and onnxruntime."""

import importlib
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
from scripts.lib.engines.decoding import Decoder
from scripts.lib.engines.devices import Device
from scripts.lib.engines.feeding import Input, numbers, read_input
from scripts.lib.engines.request import EngineRequest
from scripts.lib.engines.top_k_described import Found
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.operators import check_operators
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.suppression import FINAL, Nms

Arrays = Sequence[npt.NDArray[Any]]


class Runner(Closeable):
    """Runs a graph on batches of frames.

    Attributes:
        depth: how many batches may be under way.
        version: of the program.
        record: further values for the media's records.
    """

    depth: int
    version: str
    record: Mapping[str, object] = MappingProxyType({})

    @abstractmethod
    def start(self, batch: Pixels) -> None:
        """Begin a batch, (n, H, W, 3) BGR of the resize's dtype, not to be changed before `finish` gave its outputs."""

    @abstractmethod
    def finish(self) -> list[Found]:
        """Return the outputs of the oldest batch under way, for each part of it that went in at once."""

    def pick(self, least_score: float) -> int | None:
        """From now on return only boxes that may score `least_score` or more, if the engine can select them.

        Nothing is under way, and a batch has been run.

        Returns:
            How many of each picture it picks; None if it gives all.
        """
        del least_score
        return None


class DescribedEngine(Engine):
    """A network whose description defines its input and outputs."""

    def __init__(
        self, runner: Runner, description: Description, *, graph: str, names: int, size: Size, batch_size: int,
        nms: Nms | None, record: dict[str, object], least_score: float | None = None,
    ) -> None:  # fmt: skip
        """Run the network once, and again if its boxes are selected.

        Args:
            runner: runs it.
            description: the description of its family.
            graph: its name in errors.
            names: how many classes have a name.
            size: the size of its input.
            batch_size: frames in a batch.
            nms: settings of the suppression instead of the family's.
            record: what the media's records say of the engine.
            least_score: leave out boxes that score less in every class, if the engine can; None to return all.

        Raises:
            GraphError: its outputs are not as described.
        """
        self._runner, self._decoder, self._graph = runner, Decoder(description, size, names, graph, least_score), graph
        self._counts: deque[int] = deque()
        self.batch_size, self.size, self.classes, self.depth = batch_size, size, names, runner.depth
        self.nms = nms or description.suppression or FINAL
        self.description = {**record, **runner.record, "layout": description.family, "version": runner.version}
        try:
            frame = np.zeros((1, size.height, size.width, 3), description.resize.dtype)
            self.infer(frame)
            if least_score is not None and (most := runner.pick(least_score)) is not None:
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
        """Return the oldest batch's outputs; frames with fewer boxes than another are padded with boxes of score 0."""
        wanted = self._counts.popleft()
        parts = [self._decoder.decode(outputs) for outputs in self._runner.finish()]
        count = sum(len(part.boxes) for part in parts)
        if count != wanted:
            raise GraphError(
                f"{self._graph}: gives the boxes of {count} pictures where {wanted} went in; expected those of each: "
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
    """Creates the runner of a graph in an engine."""

    def __call__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int
    ) -> Runner:
        """Make a graph ready.

        Args:
            graph: a `.pb`, `.onnx` or `.xml` file.
            description: the description of its family.
            taken: its input.
            size: the size of its input.
            batch_size: frames in a batch, for engines that make room for them.
            threads: number of CPU threads.
        """
        ...


def open_described(
    request: EngineRequest, description: Description, *, engine: str, make_runner: MakeRunner, device: Device | None
) -> Engine:
    """Open a network of a described family.

    Args:
        request: the request; its graph is a `.pb`, `.onnx` or `.xml` file.
        description: the description of its family.
        engine: its name, for the record.
        make_runner: creates the runner of the graph in that engine.
        device: what it computes on, for the record; None if the runner says it.

    Raises:
        GraphError: the graph cannot be used, or is not as described.
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
        nms=request.nms, record=record, least_score=request.least_score,
    )  # fmt: skip


def _padded(array: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.float32]:
    missing = most - array.shape[1]
    return np.pad(array, [(0, 0), (0, missing), (0, 0)]) if missing else array


class OnnxRuntimeRunner(Runner):
    """Runs an ONNX graph with onnxruntime on the CPU; its input is computed outside the graph."""

    depth = 1

    def __init__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int,
        device: Device,
    ) -> None:  # fmt: skip
        onnxruntime = importlib.import_module("onnxruntime")

        from scripts.lib.engines.onnxruntime import read_session

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; exporters leave shapes that are wrong, which it would warn of
        self._session: Any = read_session(graph, options, device)
        self._device = device
        self._graph, self._pixels, self._taken, self._size = graph, description.pixels, taken, size
        given = [output.name for output in self._session.get_outputs()]
        self._outputs = [named_output(one, given, str(graph)) for one in description.outputs.all]
        self._each = len(description.outputs.of_picture)
        self._ready: deque[list[Found]] = deque()
        self.version = str(onnxruntime.__version__)

    def start(self, batch: Pixels) -> None:
        """Run a batch."""
        if self._session is None:
            raise RuntimeError("the engine is closed")
        found = [self._run(part) for part in parts(batch, self._taken.batch or len(batch))]
        self._ready.append([one for part in found for one in part])

    def _run(self, part: Pixels) -> list[Found]:
        whole = filled(part, self._taken.batch)
        content = numbers(whole, self._pixels, self._taken)
        try:
            others = self._taken.others_of(len(whole))
            found = self._session.run(self._outputs, {self._taken.name: content, **others})
        except Exception as error:  # onnxruntime's own kinds derive from Exception alone
            advice = "; set detect.batch_size: 1, if it takes one picture at a time" if len(whole) > 1 else ""
            raise GraphError(f"{self._graph}: onnxruntime cannot run it on {content.shape}: {error}{advice}") from error
        return cut(found, self._each, len(part), len(whole))

    def finish(self) -> list[Found]:
        """Return the oldest batch's outputs."""
        return self._ready.popleft()

    def close(self) -> None:
        """Free the session."""
        self._ready.clear()
        self._session = None


def parts(batch: Pixels, size: int) -> list[Pixels]:
    """Return a batch in parts of `size` frames."""
    return [batch[at : at + size] for at in range(0, len(batch), size)]


def filled(part: Pixels, count: int | None) -> Pixels:
    """Return frames, padded with black ones to the number that the network needs."""
    missing = (count or len(part)) - len(part)
    return np.pad(part, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else part


def cut(outputs: Arrays, each: int, count: int, filled_to: int) -> list[Found]:
    """Return the outputs of the first frames, without those of the padding.

    Args:
        outputs: of the whole batch.
        each: how many belong together; of more, each frame has its own.
        count: the frames.
        filled_to: those that went in.
    """
    if len(outputs) > each:
        return [Found(outputs[at : at + each]) for at in range(0, count * each, each)]
    return [Found(outputs if count == filled_to else [output[:count] for output in outputs])]


def named_output(output: int | str, given: Sequence[str], graph: str) -> str:
    """Return the name of an output that is named, or counted from 0.

    Raises:
        GraphError: the graph does not have it.
    """
    if isinstance(output, int) and 0 <= output < len(given):
        return given[output]
    for name in given:
        if name in (output, f"{output}:0"):
            return name
    raise absent(output, given, graph)


def absent(output: int | str, given: Sequence[str], graph: str) -> GraphError:
    """Return the error for an output that a graph does not have."""
    return GraphError(
        f"{graph}: has no output {output!r}, but {', '.join(given) or 'none'}; expected it: correct network.family, or "
        "outputs in network.description (a name, or a place from 0)"
    )
