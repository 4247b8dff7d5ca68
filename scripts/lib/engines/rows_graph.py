"""Open graphs whose outputs are rows with OpenVINO or onnxruntime."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.engines.base import Engine
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.request import EngineRequest
from scripts.lib.engines.rows import RowsEngine, RowsInput, Run
from scripts.lib.errors import GraphError
from scripts.lib.graphs.layouts import find_layout

ReadRows = Callable[[Path, int], tuple[Run, RowsInput, str] | None]


def open_rows(request: EngineRequest, *, engine: str, read: ReadRows, device: Device) -> Engine | None:
    """Return an engine for an ONNX graph that gives rows, None for one of another layout.

    Args:
        request: what it is opened with; its graph is an `.onnx` file.
        engine: its name, for the record.
        read: makes the graph ready in that engine; None if it gives no rows.
        device: what it computes on, for the record.

    Raises:
        GraphError: the graph cannot be used.
        SettingsError: a setting is missing that it needs.
    """
    opened = read(request.graph, request.threads)
    if opened is None:
        return None
    run, taken, version = opened
    description = {
        "name": engine,
        "version": version,
        **device.record,
        "precision": "f32",
        "threads": request.threads,
        "batch_size": request.batch_size,
        "layout": "rows",
    }
    return RowsEngine(
        _blaming(run, request.graph, engine), taken, graph=str(request.graph), size=request.size,
        batch_size=request.batch_size, nms=request.nms, convention=request.rows, description=description,
    )  # fmt: skip


def _blaming(run: Run, graph: Path, engine: str) -> Run:
    def blaming(content: Any) -> Any:
        try:
            return run(content)
        except Exception as error:  # both engines' own kinds derive from it, or from RuntimeError
            raise GraphError(f"{graph}: {engine} cannot run it on a picture of {content.shape}: {error}") from error

    return blaming


def read_with_openvino(graph: Path, threads: int) -> tuple[Run, RowsInput, str] | None:
    """Return what runs a graph of rows, its input and OpenVINO's version; None for one of another layout."""
    from scripts.lib.engines.openvino.graph import compile_for_cpu, load_openvino, read_graph

    ov = load_openvino()
    model, layout = read_graph(graph)
    if layout.labels is None:
        return None
    kinds = {ov.Type.f32: False, ov.Type.u8: True}
    found = [f"{one.get_any_name()} {one.get_element_type()} {one.get_partial_shape()}" for one in model.inputs]
    if len(found) != 1 or model.inputs[0].get_element_type() not in kinds:
        raise _wrong_inputs(graph, found)
    shape = [None if length.is_dynamic else length.get_length() for length in model.inputs[0].get_partial_shape()]
    compiled = compile_for_cpu(model, str(graph), threads=threads, requests=1)
    names = (layout.boxes, layout.scores, layout.labels)

    def run(content: Any) -> Any:
        results = compiled([content])
        return tuple(np.array(results[name]) for name in names)

    return run, RowsInput(shape, kinds[model.inputs[0].get_element_type()]), ov.get_version()


def read_with_onnxruntime(graph: Path, threads: int, device: Device) -> tuple[Run, RowsInput, str] | None:
    """Return what runs a graph of rows, its input and onnxruntime's version; None for one of another layout."""
    import onnxruntime  # type: ignore[import-untyped]

    from scripts.lib.engines.onnxruntime.engine import read_session, run_session

    probe = onnxruntime.SessionOptions()
    probe.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = read_session(graph, probe)
    layout = find_layout([{output.name} for output in session.get_outputs()], str(graph))
    if layout.labels is None:
        return None
    kinds = {"tensor(float)": False, "tensor(uint8)": True}
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in kinds:
        raise _wrong_inputs(graph, [f"{one.name} {one.type} {one.shape}" for one in inputs])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    ready = read_session(graph, options, device)
    names = [layout.boxes, layout.scores, layout.labels]

    def run(content: Any) -> Any:
        return tuple(run_session(ready, names, inputs[0].name, content, device))

    shape = [length if isinstance(length, int) else None for length in inputs[0].shape]
    return run, RowsInput(shape, kinds[inputs[0].type]), onnxruntime.__version__


def _wrong_inputs(graph: Path, found: list[str]) -> GraphError:
    return GraphError(f"{graph}: its inputs are {', '.join(found)}; expected one, of float32 or uint8: a picture")
