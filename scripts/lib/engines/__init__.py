"""The engines that run a network: chosen here, each in a module of its own that imports its library on use."""

from pathlib import Path

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.rows import RowsConvention
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.suppression import Nms

_SUFFIXES = {"openvino": (".pb", ".onnx", ".xml"), "onnxruntime": (".onnx",), "tensorrt": (".onnx",)}


def open_engine(
    graph: Path,
    *,
    engine: str,
    size: Size,
    batch_size: int,
    threads: int,
    precision: str = "f32",
    engines: Path = Path("engines"),
    nms: Nms | None = None,
    rows: RowsConvention | None = None,
) -> Engine:
    """Make a network ready.

    Args:
        graph: `graph.pb` or `graph.onnx`, or OpenVINO's own `graph.xml`.
        engine: openvino, onnxruntime or tensorrt.
        size: width and height of the network's input.
        batch_size: frames a batch.
        threads: of the CPU.
        precision: f32, or for TensorRT also f16.
        engines: the folder of TensorRT's engine files.
        nms: suppression settings instead of the graph's own.
        rows: how to read a graph that gives rows.

    Raises:
        GraphError: the engine cannot use the graph.
        DeviceError: GPU, driver or TensorRT is not there, or fails.
        SettingsError: there is no such engine, or a setting is missing that the graph needs.
    """
    if engine not in _SUFFIXES:
        raise SettingsError(f"detect.engine is {engine!r}; expected one of {', '.join(_SUFFIXES)}")
    if graph.suffix not in _SUFFIXES[engine]:
        raise GraphError(
            f"{graph}: {engine} cannot read a file that ends in {graph.suffix or 'nothing'!r}; "
            f"expected {' or '.join(_SUFFIXES[engine])}"
        )
    if engine == "tensorrt":
        from scripts.lib.engines.tensorrt import TensorRtEngine

        return TensorRtEngine(graph, size=size, batch_size=batch_size, precision=precision, folder=engines, nms=nms)
    if graph.suffix == ".onnx":
        from scripts.lib.engines.rows_graph import open_rows

        opened = open_rows(
            graph, engine=engine, size=size, batch_size=batch_size, threads=threads, nms=nms, convention=rows
        )
        if opened is not None:
            return opened
    if engine == "openvino":
        from scripts.lib.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(graph, size=size, batch_size=batch_size, threads=threads, nms=nms)
    from scripts.lib.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(graph, size=size, batch_size=batch_size, threads=threads, nms=nms)
