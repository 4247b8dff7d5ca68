"""onnxruntime on an NVIDIA GPU for described networks: frames are copied to the GPU, and only the best boxes back.

Three graphs run one after the other on data in the GPU's memory: one that converts frames to the network's input, the
network, and one that selects the best boxes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.described.engine import pad_batch, without_padding
from scripts.lib.engines.onnx_graphs.small_graphs import FLOAT, FLOAT16
from scripts.lib.engines.onnx_graphs.top_k_described import RawOutputs, TopK, plan_top_k, write_top_k
from scripts.lib.engines.onnxruntime.described import OnnxRuntimeRunner
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.onnxruntime.gpu_faults import gpu_faults
from scripts.lib.engines.onnxruntime.gpu_feeding import GpuFeeding, open_small
from scripts.lib.errors import GraphError, PipelineError
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.feeding import Input

_ONNX_TYPES = {"tensor(float)": FLOAT, "tensor(float16)": FLOAT16, "tensor(double)": 11}  # by onnxruntime's names


class CudaRunner(OnnxRuntimeRunner):
    """Runs an ONNX graph with onnxruntime on a GPU."""

    def __init__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int,
        device: Device,
    ) -> None:  # fmt: skip
        super().__init__(
            graph, description, taken, size=size, batch_size=batch_size, threads=threads, device=device
        )  # fmt: skip
        self._description = description
        self._feeding = GpuFeeding(description.pixels, taken, size, device, description.resize.dtype)
        self._shapes: list[tuple[int, ...]] = []
        self._top_k: _TopK | None = None

    def _run(self, part: Pixels) -> list[RawOutputs]:
        whole = pad_batch(part, self._taken.batch)
        device = self._device.name
        with gpu_faults(self._device):
            bound = self._run_network(whole, is_reused=whole is part)
            if self._top_k is not None:
                rows = self._top_k.select(bound.get_outputs(), len(part), device)
                if rows is not None:
                    return [rows]
            outputs = bound.copy_outputs_to_cpu()
        self._shapes = [output.shape for output in outputs]
        return without_padding(outputs, self._outputs_per_frame, len(part), len(whole))

    def _run_network(self, whole: Pixels, *, is_reused: bool) -> Any:
        """Run the network, and return its binding, with the outputs in the GPU's memory."""
        try:
            with gpu_faults(self._device):
                fed = self._feeding.feed(whole, is_reused=is_reused)
                bound = self._session.io_binding()
                bound.bind_ortvalue_input(self._taken.name, fed)
                for name, values in self._taken.others_of(len(whole)).items():
                    bound.bind_cpu_input(name, values)
                for output in self._outputs:
                    bound.bind_output(output, self._device.name)
                self._session.run_with_iobinding(bound)
        except PipelineError:
            raise
        except Exception as error:  # onnxruntime's errors have no common base class
            advice = "; set detect.batch_size: 1, if it takes one picture at a time" if len(whole) > 1 else ""
            raise GraphError(
                f"{self._graph}: onnxruntime cannot run it on {len(whole)} pictures: {error}{advice}"
            ) from error
        return bound

    def select_top_k(self, min_score: float) -> int | None:
        """Copy only the boxes that may score `min_score` or more."""
        type_names = {tensor.name: tensor.type for tensor in self._session.get_outputs()}
        types = [_ONNX_TYPES.get(type_names[name]) for name in self._outputs]
        top_k = plan_top_k(self._description, self._shapes)
        if top_k is None or None in types:
            return None
        model = write_top_k(top_k, [kind for kind in types if kind is not None])
        self._top_k = _TopK(top_k, open_small(model, self._device), min_score)
        return top_k.most

    def close(self) -> None:
        """Free the sessions, and release the memory of the batches."""
        super().close()
        self._top_k = None
        self._feeding.close()


class _TopK:
    """Selects the best boxes of a network's outputs in the GPU's memory."""

    def __init__(self, top_k: TopK, session: Any, min_score: float) -> None:
        self._top_k, self._session, self._min_score = top_k, session, min_score

    def select(self, outputs: Sequence[Any], count: int, device: str) -> RawOutputs | None:
        """Return the selected rows of the first pictures; None if others may score enough too.

        Args:
            outputs: the network's outputs as OrtValues.
            count: number of pictures, without the padding.
            device: onnxruntime's name of the device that computes the rows.
        """
        binding = self._session.io_binding()
        for index, output in enumerate(outputs):
            binding.bind_ortvalue_input(str(index), output)
        for name in self._top_k.names:
            binding.bind_output(name, device)
        self._session.run_with_iobinding(binding)
        return self._top_k.rows([output[:count] for output in binding.copy_outputs_to_cpu()], self._min_score)
