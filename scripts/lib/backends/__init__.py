"""The engines that run a network: chosen here, each in a module of its own that imports its library on use."""

from pathlib import Path

from scripts.lib.backends.base import Engine
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.retinanet import Nms, Size

ENGINES = ("auto", "openvino", "onnxruntime", "tensorrt")
_SUFFIXES = {"openvino": (".pb", ".onnx"), "onnxruntime": (".onnx",)}


def open_engine(
    graph: Path,
    *,
    engine: str,
    size: Size,
    batch_size: int,
    threads: int,
    nms: Nms | None = None,
) -> Engine:
    """Make a network ready.

    Args:
        graph: `graph.pb` or `graph.onnx`.
        engine: one of ENGINES; `auto` takes the fastest that is there, which on a CPU is OpenVINO.
        size: width and height of the network's input.
        batch_size: frames a batch.
        threads: of the CPU.
        nms: suppression settings instead of the graph's own.

    Raises:
        GraphError: the engine cannot use the graph.
        SettingsError: there is no such engine.
    """
    if engine not in ENGINES:
        raise SettingsError(f"detect.engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    if engine == "tensorrt":
        raise SettingsError(
            "detect.engine is 'tensorrt', which this version does not have; expected auto, openvino or onnxruntime"
        )
    name = "openvino" if engine == "auto" else engine
    if graph.suffix not in _SUFFIXES[name]:
        raise GraphError(
            f"{graph}: {name} cannot read a file that ends in {graph.suffix or 'nothing'!r}; "
            f"expected {' or '.join(_SUFFIXES[name])}"
        )
    opened: Engine
    if name == "openvino":
        from scripts.lib.backends.openvino import OpenVinoEngine

        opened = OpenVinoEngine(graph, size=size, batch_size=batch_size, threads=threads, nms=nms)
    else:
        from scripts.lib.backends.onnxruntime import OnnxRuntimeEngine

        opened = OnnxRuntimeEngine(graph, size=size, batch_size=batch_size, threads=threads, nms=nms)
    opened.description["chosen"] = "by default: the fastest on a CPU" if engine == "auto" else "by the configuration"
    return opened
