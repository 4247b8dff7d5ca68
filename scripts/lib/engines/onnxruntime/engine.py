"""onnxruntime on the CPU or on a GPU, for ONNX graphs that were cut before their suppression."""

import importlib
import importlib.util
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.base import Engine, Outputs, check_outputs
from scripts.lib.engines.onnx_graphs.top_k import MOST, OUTPUTS, Candidates, is_worthwhile, write_top_k
from scripts.lib.engines.onnxruntime.devices import Device, require_provider
from scripts.lib.engines.onnxruntime.engine_cache import own_engines
from scripts.lib.engines.onnxruntime.gpu_faults import gpu_faults
from scripts.lib.engines.onnxruntime.gpu_feeding import GpuFeeding
from scripts.lib.errors import GraphError, PipelineError
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.description import PixelFormat
from scripts.lib.graphs.feeding import Input
from scripts.lib.graphs.layouts import find_layout
from scripts.lib.graphs.operators import check_operators
from scripts.lib.preprocessing.preprocess import MEAN, subtract_mean
from scripts.lib.suppression import Nms

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]

_BYTES, _FLOATS = "tensor(uint8)", "tensor(float)"


class OnnxRuntimeEngine(Engine):
    """An ONNX graph whose outputs are boxes and scores."""

    depth = 1

    def __init__(
        self,
        graph: Path,
        *,
        size: Size,
        batch_size: int,
        threads: int,
        nms: Nms | None = None,
        device: Device = Device(),  # noqa: B008, it is immutable
        min_score: float | None = None,
    ) -> None:
        """Load a graph.

        Args:
            graph: an `.onnx` file.
            size: the size of the network's input.
            batch_size: number of frames in a batch.
            threads: number of CPU threads.
            nms: suppression settings; None for those in the graph's metadata, or OpenEM's if it has none.
            device: the device that computes.
            min_score: anchors that score less in every class may be left out; None to return all.

        Raises:
            DeviceError: the GPU cannot be used.
            GraphError: the file cannot be read, or its layout is not known.
        """
        import onnxruntime

        self.batch_size, self.size = batch_size, size
        shape = [batch_size, size.height, size.width, 3]
        # The first session is only for the names of the dimensions that are not fixed; the second one fixes them.
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        probe = read_session(graph, options)
        stored = probe.get_modelmeta().custom_metadata_map.get(nms_settings.KEY)
        self.nms = nms or nms_settings.from_text(stored, str(graph))
        layout = find_layout([{output.name} for output in probe.get_outputs()], str(graph))
        self._outputs = [layout.boxes, layout.scores]
        refuse_bfloat16(probe, self._outputs, graph)
        self._input = _check_input(probe, shape, graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        for name, length in zip(probe.get_inputs()[0].shape, shape, strict=True):
            if isinstance(name, str):
                options.add_free_dimension_override_by_name(name, length)
        self._takes_bytes = probe.get_inputs()[0].type == _BYTES
        self._feeding: GpuFeeding | None = None
        if device.name == "cuda" and not self._takes_bytes:
            taken = Input(self._input, "float32", channels_last=True, batched=True, batch=None)
            self._feeding = GpuFeeding(PixelFormat("bgr", 1.0, MEAN), taken, size, device)
        self._ready: deque[Outputs] = deque()
        self._top_k: _TopK | None = None
        kinds = {output.name: output.type for output in probe.get_outputs()}
        with own_engines(device, graph, size=size, batch_size=batch_size) as with_folder:
            session = read_session(graph, options, with_folder)
            self._session: onnxruntime.InferenceSession | None = session
            self._device = device = with_folder.as_used(session.get_providers())
            outputs = self._try(shape, graph)
        self.classes = check_outputs(outputs.boxes.shape, outputs.scores.shape, self.batch_size, str(graph))
        if (
            min_score is not None
            and is_worthwhile(outputs.boxes.shape[1])
            and {kinds[output] for output in self._outputs} == {_FLOATS}
        ):
            self._top_k = _TopK(threads, device, min_score)
            self._try(shape, graph)
        self.description = {
            "name": "onnxruntime",
            "version": onnxruntime.__version__,
            **device.record,
            "precision": "f32",
            "threads": threads,
            "batch_size": batch_size,
            "layout": layout.name,
            **({"candidates": MOST} if self._top_k else {}),
        }

    def _try(self, shape: list[int], graph: Path) -> Outputs:
        """Run the graph once on black frames, to initialize the session and get the shapes of the outputs."""
        try:
            return self.infer(np.zeros(shape, np.uint8))
        except PipelineError:
            raise
        except Exception as error:  # onnxruntime's errors have no common base class
            raise GraphError(f"{graph}: onnxruntime cannot run it on a batch of {shape}: {error}") from error

    def start(self, batch: Pixels) -> None:
        """Run a batch.

        Raises:
            DeviceError: the GPU failed.
        """
        if self._session is None:
            raise RuntimeError("the engine is closed")
        with gpu_faults(self._device):
            self._ready.append(self._run(self._session, batch))

    def _run(self, session: "onnxruntime.InferenceSession", batch: Pixels) -> Outputs:
        missing = self.batch_size - len(batch)
        padded = np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else batch
        if self._feeding is not None:
            content = self._feeding.feed(padded, is_reused=padded is batch)
        else:
            content = padded if self._takes_bytes else subtract_mean(padded)
        if self._top_k is not None:
            bound = bind(session, self._outputs, self._input, content, self._device.name)
            return self._top_k.outputs(bound, len(batch))
        boxes, scores = run_session(session, self._outputs, self._input, content, self._device)
        return Outputs(np.asarray(boxes, np.float32), np.asarray(scores, np.float32)).first(len(batch))

    def finish(self) -> Outputs:
        """Return the outputs of the oldest batch."""
        return self._ready.popleft()

    def close(self) -> None:
        """Free the engine."""
        self._ready.clear()
        self._session = self._top_k = None
        if self._feeding is not None:
            self._feeding.close()


class _TopK:
    """Selects the best anchors from boxes and scores in the memory of the device."""

    def __init__(self, threads: int, device: Device, min_score: float) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        device = device.without_tensorrt()  # TensorRT would build an engine for this small graph
        with gpu_faults(device):
            self._session = onnxruntime.InferenceSession(write_top_k(), options, providers=device.providers)
        require_provider(self._session.get_providers(), device)
        self._device, self._min_score = device.name, min_score

    def outputs(self, bound: "onnxruntime.IOBinding", count: int) -> Outputs:
        """Return the candidates of the first frames of a batch, or all anchors if others may score enough too.

        Args:
            bound: the batch's boxes and scores.
            count: number of frames.
        """
        values = bound.get_outputs()
        binding = self._session.io_binding()
        for name, value in zip(("boxes", "scores"), values, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in OUTPUTS:
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding)
        selected = Candidates(*binding.copy_outputs_to_cpu()).first(count).outputs(self._min_score)
        return selected or Outputs(*bound.copy_outputs_to_cpu()).first(count)


def read_session(
    graph: Path,
    options: "onnxruntime.SessionOptions",
    device: Device = Device(),  # noqa: B008, it is immutable
) -> "onnxruntime.InferenceSession":
    """Load a graph.

    Raises:
        DeviceError: the GPU cannot be used.
        GraphError: the file cannot be read, or has operators that do more than compute.
    """
    import onnxruntime

    check_operators(graph)
    if device.built and importlib.util.find_spec("tensorrt"):
        importlib.import_module("tensorrt")  # its import loads its libraries
    try:
        with gpu_faults(device):
            session = onnxruntime.InferenceSession(str(graph), options, providers=device.providers)
    except PipelineError:
        raise
    except Exception as error:  # onnxruntime's errors have no common base class
        raise GraphError(f"{graph}: onnxruntime cannot read it: {error}") from error
    require_provider(session.get_providers(), device)
    for one in session.get_inputs():
        if 0 in one.shape:
            raise GraphError(
                f"{graph}: its input {one.name} has the shape ({', '.join(map(str, one.shape))}), and onnxruntime "
                "takes only what has a length of 0 there; expected 1, or a length that is open: export it again, or "
                "set detect.engine: openvino"
            )
    return session


def refuse_bfloat16(session: "onnxruntime.InferenceSession", outputs: list[str], graph: Path) -> None:
    """Refuse a graph with outputs of bfloat16, of which onnxruntime makes no arrays.

    Args:
        session: a session of the graph.
        outputs: names of the outputs that are used.
        graph: the graph, for the message.

    Raises:
        GraphError: one of them is of bfloat16.
    """
    for output in session.get_outputs():
        if output.name in outputs and output.type == "tensor(bfloat16)":
            raise GraphError(
                f"{graph}: its output {output.name} has numbers of bfloat16, which onnxruntime cannot return; expected "
                "float32 or float16: export it so, or set detect.engine: openvino"
            )


def run_session(
    session: "onnxruntime.InferenceSession",
    outputs: list[str],
    name: str,
    content: "npt.NDArray[np.generic] | onnxruntime.OrtValue",
    device: Device,
) -> list[npt.NDArray[np.generic]]:
    """Run a batch; on a GPU with bound input and outputs, so that each is copied only once.

    Args:
        session: the session of the graph.
        outputs: names of the outputs.
        name: name of the input.
        content: the input, as an array, or as an OrtValue in the memory of the GPU.
        device: the device that the session computes on.

    Raises:
        DeviceError: the GPU failed.
    """
    if device.name == "cpu":
        found: list[npt.NDArray[np.generic]] = session.run(outputs, {name: content})
        return found
    with gpu_faults(device):
        return run_bound(session, outputs, name, content, device.name)


def run_bound(
    session: "onnxruntime.InferenceSession",
    outputs: list[str],
    name: str,
    content: "npt.NDArray[np.generic] | onnxruntime.OrtValue",
    device: str,
) -> list[npt.NDArray[np.generic]]:
    """Run a batch with bound input and outputs; `device` is the device of the outputs: `cpu` or `cuda`."""
    found: list[npt.NDArray[np.generic]] = bind(session, outputs, name, content, device).copy_outputs_to_cpu()
    return found


def bind(
    session: "onnxruntime.InferenceSession",
    outputs: list[str],
    name: str,
    content: "npt.NDArray[np.generic] | onnxruntime.OrtValue",
    device: str,
) -> "onnxruntime.IOBinding":
    """Run a batch as run_bound does, and return the binding, with the outputs in the memory of the device."""
    binding = session.io_binding()
    if isinstance(content, np.ndarray):
        binding.bind_cpu_input(name, np.ascontiguousarray(content))
    else:
        binding.bind_ortvalue_input(name, content)
    for output in outputs:
        binding.bind_output(output, device)
    session.run_with_iobinding(binding)
    return binding


def _check_input(session: "onnxruntime.InferenceSession", shape: list[int], graph: Path) -> str:
    """Return the name of the input; refuse an input that does not fit the batch."""
    inputs = session.get_inputs()
    found = ", ".join(f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in inputs)
    first = inputs[0]
    fits = (
        len(inputs) == 1
        and first.type in (_BYTES, _FLOATS)
        and len(first.shape) == len(shape)
        and all(
            not isinstance(length, int) or length == wanted for length, wanted in zip(first.shape, shape, strict=True)
        )
    )
    if not fits:
        raise GraphError(
            f"{graph}: its inputs are {found}; expected one, {_FLOATS} or {_BYTES}, that takes {shape}: "
            "the batch, height, width and colours"
        )
    return str(first.name)
