"""onnxruntime on an NVIDIA GPU for described networks: bytes are copied there, and the best boxes back.

Three graphs run one after the other on data on the GPU: one that converts the bytes of frames to the network's input,
the network, and one that selects the best boxes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.described import OnnxRuntimeRunner, cut, filled
from scripts.lib.engines.devices import Device
from scripts.lib.engines.feeding import Input
from scripts.lib.engines.gpu_feeding import GpuFeeding, open_small
from scripts.lib.engines.small_graphs import FLOAT, FLOAT16
from scripts.lib.engines.top_k_described import Found, Picking, plan_picking, write_picking
from scripts.lib.errors import GraphError
from scripts.lib.graphs.description import Description

_GIVEN = {"tensor(float)": FLOAT, "tensor(float16)": FLOAT16, "tensor(double)": 11}  # ONNX' names and numbers


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
        self._picks: _Picks | None = None

    def _run(self, part: Pixels) -> list[Found]:
        whole = filled(part, self._taken.batch)
        place = self._device.name
        try:
            fed = self._feeding.feed(whole, comes_again=whole is part)
            bound = self._session.io_binding()
            bound.bind_ortvalue_input(self._taken.name, fed)
            for name, values in self._taken.others_of(len(whole)).items():
                bound.bind_cpu_input(name, values)
            for output in self._outputs:
                bound.bind_output(output, place)
            self._session.run_with_iobinding(bound)
        except Exception as error:  # onnxruntime's own kinds derive from Exception alone
            advice = "; set detect.batch_size: 1, if it takes one picture at a time" if len(whole) > 1 else ""
            raise GraphError(
                f"{self._graph}: onnxruntime cannot run it on {len(whole)} pictures: {error}{advice}"
            ) from error
        if self._picks is not None and (found := self._picks.found(bound.get_outputs(), len(part), place)) is not None:
            return [found]
        outputs = bound.copy_outputs_to_cpu()
        self._shapes = [output.shape for output in outputs]
        return cut(outputs, self._each, len(part), len(whole))

    def pick(self, least_score: float) -> int | None:
        """Copy only the boxes that may score so much."""
        kinds = {one.name: one.type for one in self._session.get_outputs()}
        types = [_GIVEN.get(kinds[name]) for name in self._outputs]
        picking = plan_picking(self._description, self._shapes)
        if picking is None or None in types:
            return None
        model = write_picking(picking, [one for one in types if one is not None])
        self._picks = _Picks(picking, open_small(model, self._device), least_score)
        return picking.most

    def close(self) -> None:
        """Free the sessions, and let go of the memory of batches."""
        super().close()
        self._picks = None
        self._feeding.close()


class _Picks:
    """Picks the best boxes out of outputs that lie where the session made them."""

    def __init__(self, picking: Picking, session: Any, least_score: float) -> None:
        self._picking, self._session, self._least_score = picking, session, least_score

    def found(self, outputs: Sequence[Any], count: int, place: str) -> Found | None:
        """Return the rows of the first pictures that are picked; None if they may not be all.

        Args:
            outputs: onnxruntime's, of the network.
            count: how many pictures; what filled the batch up comes after them.
            place: where the rows are made.
        """
        binding = self._session.io_binding()
        for at, output in enumerate(outputs):
            binding.bind_ortvalue_input(str(at), output)
        for name in self._picking.names:
            binding.bind_output(name, place)
        self._session.run_with_iobinding(binding)
        return self._picking.found([one[:count] for one in binding.copy_outputs_to_cpu()], self._least_score)
