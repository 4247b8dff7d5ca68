"""OpenVINO for graphs whose outputs are rows."""

from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.engines.openvino.graph import compile_for_cpu, load_openvino, read_graph
from scripts.lib.engines.rows import RowsGraph, RowsInput, wrong_inputs


def read_rows(graph: Path, threads: int) -> RowsGraph | None:
    """Read and compile a graph; return None if its outputs are not rows.

    Raises:
        GraphError: the graph cannot be used.
    """
    ov = load_openvino()
    model, layout = read_graph(graph)
    if layout.labels is None:
        return None
    kinds = {ov.Type.f32: False, ov.Type.u8: True}
    found = [f"{one.get_any_name()} {one.get_element_type()} {one.get_partial_shape()}" for one in model.inputs]
    if len(found) != 1 or model.inputs[0].get_element_type() not in kinds:
        raise wrong_inputs(graph, found)
    shape = [None if length.is_dynamic else length.get_length() for length in model.inputs[0].get_partial_shape()]
    compiled = compile_for_cpu(model, str(graph), threads=threads, requests=1)
    names = (layout.boxes, layout.scores, layout.labels)

    def run(picture: Any) -> Any:
        results = compiled([picture])
        return tuple(np.array(results[name]) for name in names)

    return RowsGraph(run, RowsInput(shape, kinds[model.inputs[0].get_element_type()]), ov.get_version())
