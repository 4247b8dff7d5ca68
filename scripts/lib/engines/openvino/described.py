"""OpenVINO for described networks: the input is frames, and pixels are prepared inside the graph."""

import importlib
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.described.engine import Runner, missing_output_error, pad_batch, split_batch, without_padding
from scripts.lib.engines.onnx_graphs.top_k_described import RawOutputs
from scripts.lib.engines.openvino.graph import compile_for_cpu, load_openvino, read_model
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.feeding import COLOURS, Input

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]


class OpenVinoRunner(Runner):
    """Runs a graph with OpenVINO, with one frame in each thread."""

    depth = 2

    def __init__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int
    ) -> None:
        """Read and compile a graph.

        Args:
            graph: a `.pb`, `.onnx` or `.xml` file.
            description: the network's description.
            taken: the network's input.
            size: the size of the network's input.
            batch_size: number of frames in a batch.
            threads: number of CPU threads.

        Raises:
            GraphError: OpenVINO cannot read or compile the graph, or the graph lacks an output.
        """
        ov = load_openvino()
        self._graph = graph
        self._frames_at_once = taken.batch or 1
        whole = read_with_frames(graph, description, taken, size)
        count = -(-batch_size // self._frames_at_once)
        compiled = compile_for_cpu(whole, str(graph), threads=threads, requests=count)
        self._tensor, self.version = ov.Tensor, str(ov.get_version())
        self._count, self._outputs_per_frame = len(description.outputs.all), len(description.outputs.of_picture)
        self._idle = deque([compiled.create_infer_request() for _ in range(count)] for _ in range(self.depth))
        self._pending: deque[tuple[Sequence[Any], list[Pixels]]] = deque()

    def start(self, batch: Pixels) -> None:
        """Begin a batch, which is read in place."""
        requests, pieces = self._idle.popleft(), split_batch(batch, self._frames_at_once)
        for request, piece in zip(requests, pieces, strict=False):
            content = pad_batch(piece, self._frames_at_once)
            request.set_input_tensor(self._tensor(content, shared_memory=content is piece))
            request.start_async()
        self._pending.append((requests, pieces))

    def finish(self) -> list[RawOutputs]:
        """Wait for the oldest unfinished batch and return its outputs."""
        requests, pieces = self._pending.popleft()
        self._idle.append(requests)  # type: ignore[arg-type]
        found = []
        for request, piece in zip(requests, pieces, strict=False):
            try:
                request.wait()
            except RuntimeError as error:
                raise GraphError(f"{self._graph}: OpenVINO cannot run it: {str(error).strip()}") from error
            outputs = [np.array(request.get_output_tensor(at).data) for at in range(self._count)]
            found.extend(without_padding(outputs, self._outputs_per_frame, len(piece), self._frames_at_once))
        return found

    def close(self) -> None:
        """Cancel unfinished batches and free the requests."""
        for requests, pieces in self._pending:
            for request, _ in zip(requests, pieces, strict=False):
                request.cancel()
                try:
                    request.wait()
                except RuntimeError:
                    continue  # the error says that the request was cancelled
        self._pending.clear()
        self._idle.clear()


def read_with_frames(graph: Path, description: Description, taken: Input, size: Size) -> "openvino.Model":
    """Return a graph that takes frames, (n, H, W, 3) BGR, and gives the outputs that are read, in order.

    Args:
        graph: a `.pb`, `.onnx` or `.xml` file.
        description: the network's description.
        taken: the network's input; the graph takes one frame if the input takes any number.
        size: the size of the network's input.

    Raises:
        GraphError: OpenVINO cannot read the graph, or the graph lacks an output.
    """
    ov, unit = load_openvino(), taken.batch or 1
    model = read_model(graph)
    try:
        outputs = _outputs(model, description, str(graph))
        part = ov.Model(outputs, _fix_other_inputs(model, taken.others_of(unit)))
        part.reshape(taken.shape(unit, size))
        return _taking_frames(part, description, taken, unit, size)
    except RuntimeError as error:
        raise GraphError(f"{graph}: OpenVINO cannot read it: {str(error).strip()}") from error


def _fix_other_inputs(model: "openvino.Model", others: Mapping[str, npt.NDArray[Any]]) -> list[Any]:
    """Replace the other inputs by constants, and return the remaining inputs."""
    ops = importlib.import_module("openvino.opset13")
    left = []
    for parameter in model.get_parameters():
        name = next((name for name in others if name in parameter.output(0).get_names()), None)
        if name is None:
            left.append(parameter)
            continue
        constant = ops.constant(others[name])
        for user in list(parameter.output(0).get_target_inputs()):
            user.replace_source_output(constant.output(0))
    return left


def _outputs(model: "openvino.Model", description: Description, graph: str) -> list[Any]:
    """Return the outputs of the description, in order; in a frozen graph they may be any tensors."""
    results = [result.input_value(0) for result in model.get_results()]
    named = {name: output for op in model.get_ops() for output in op.outputs() for name in output.get_names()}
    found = []
    for wanted in description.outputs.all:
        if isinstance(wanted, int):
            output = results[wanted] if 0 <= wanted < len(results) else None
        else:
            output = named.get(wanted, named.get(f"{wanted}:0"))
        if output is None:
            given = [next(iter(sorted(output.get_names())), "without a name") for output in model.outputs]
            raise missing_output_error(wanted, given, graph)
        found.append(output)
    return found


def _taking_frames(
    part: "openvino.Model", description: Description, taken: Input, count: int, size: Size
) -> "openvino.Model":
    """Return a graph of (n, H, W, 3) BGR for one of the numbers that the network takes."""
    ov, pixels = load_openvino(), description.pixels
    ops = importlib.import_module("openvino.opset13")
    old = part.get_parameters()[0]
    kind = ov.Type(np.dtype(description.resize.dtype))
    frames = ops.parameter([count, size.height, size.width, COLOURS], kind, name="frames")
    values = frames
    axis = 3
    if not taken.channels_last:
        values, axis = ops.transpose(values, np.array([0, 3, 1, 2])), 1
    if pixels.order == "rgb":
        values = ops.gather(values, np.array([2, 1, 0]), np.array(axis))
    if taken.kind != "uint8":
        values = ops.convert(values, "f32")
        shape = [1, 1, 1, COLOURS] if taken.channels_last else [1, COLOURS, 1, 1]
        deviation = np.array(pixels.deviation, np.float64)
        scale = (1 / (pixels.divisor * deviation)).astype(np.float32).reshape(shape)
        offset = (-np.array(pixels.mean, np.float64) / deviation).astype(np.float32).reshape(shape)
        if (scale != 1).any():
            values = ops.multiply(values, ops.constant(scale))
        if offset.any():
            values = ops.add(values, ops.constant(offset))
        if taken.kind == "float16":
            values = ops.convert(values, "f16")
    if not taken.batched:
        values = ops.squeeze(values, np.array([0]))
    for user in list(old.output(0).get_target_inputs()):
        user.replace_source_output(values.output(0))
    return ov.Model([result.input_value(0) for result in part.get_results()], [frames])
