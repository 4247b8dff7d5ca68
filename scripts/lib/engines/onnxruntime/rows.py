"""onnxruntime for graphs whose outputs are rows."""

from pathlib import Path
from typing import Any

from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.onnxruntime.engine import read_session, refuse_bfloat16, run_session
from scripts.lib.engines.rows import RowsGraph, RowsInput, wrong_inputs
from scripts.lib.graphs.layouts import find_layout


def read_rows(graph: Path, threads: int, device: Device) -> RowsGraph | None:
    """Open a session of a graph; return None if its outputs are not rows.

    Raises:
        DeviceError: the GPU cannot be used.
        GraphError: the graph cannot be used.
    """
    import onnxruntime  # type: ignore[import-untyped]

    probe = onnxruntime.SessionOptions()
    probe.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = read_session(graph, probe)
    layout = find_layout([{output.name} for output in session.get_outputs()], str(graph))
    if layout.labels is None:
        return None
    names = [layout.boxes, layout.scores, layout.labels]
    refuse_bfloat16(session, names, graph)
    kinds = {"tensor(float)": False, "tensor(uint8)": True}
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in kinds:
        raise wrong_inputs(graph, [f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in inputs])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    ready = read_session(graph, options, device)

    def run(picture: Any) -> Any:
        return tuple(run_session(ready, names, inputs[0].name, picture, device))

    shape = [length if isinstance(length, int) else None for length in inputs[0].shape]
    return RowsGraph(run, RowsInput(shape, kinds[inputs[0].type]), onnxruntime.__version__)
