"""The table of engines: their files, precisions, and how they are opened. A new engine is an entry here and a module.

Heavy libraries are imported only when an engine is opened, since the table is also read while a run is planned.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.lib.engines.onnxruntime.devices import Device, choose_device, load_cuda
from scripts.lib.engines.request import EngineRequest, RowsConvention
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.workflow.processes import deadline

if TYPE_CHECKING:
    from scripts.lib.boxes import Size
    from scripts.lib.engines.base import Engine
    from scripts.lib.engines.described.engine import MakeRunner
    from scripts.lib.engines.rows import ReadRows
    from scripts.lib.graphs.description import Description
    from scripts.lib.suppression import Nms

_CPU = Device()


@dataclass(frozen=True)
class EngineKind:
    """An entry of the table.

    Attributes:
        suffixes: suffixes of the files that the engine reads.
        precisions: precisions of the computation; the first one is the default.
        environment: name of the conda environment in `envs/` with the engine's packages.
        is_built: whether an engine file is built from the graph, in a job before detection.
        open: function that opens the engine.
    """

    suffixes: tuple[str, ...]
    precisions: tuple[str, ...]
    environment: str
    is_built: bool
    open: "Callable[[EngineRequest], Engine]"


def _open_openvino(request: EngineRequest) -> "Engine":
    from scripts.lib.engines.openvino.described import OpenVinoRunner
    from scripts.lib.engines.openvino.engine import OpenVinoEngine
    from scripts.lib.engines.openvino.rows import read_rows

    return (
        _open_described("openvino", OpenVinoRunner, request)
        or _open_rows("openvino", read_rows, request)
        or OpenVinoEngine(
            request.graph, size=request.size, batch_size=request.batch_size, threads=request.threads, nms=request.nms
        )
    )


def _open_onnxruntime(request: EngineRequest) -> "Engine":
    import onnxruntime  # type: ignore[import-untyped]

    from scripts.lib.engines.background import BackgroundEngine
    from scripts.lib.engines.onnxruntime.described import OnnxRuntimeRunner
    from scripts.lib.engines.onnxruntime.described_cuda import CudaRunner
    from scripts.lib.engines.onnxruntime.engine import OnnxRuntimeEngine
    from scripts.lib.engines.onnxruntime.rows import read_rows

    available = onnxruntime.get_available_providers()
    device = choose_device(request.device, available, os.environ)
    if device.name == "cuda":
        load_cuda(onnxruntime)
    runner = CudaRunner if device.name == "cuda" else OnnxRuntimeRunner
    engine = (
        _open_described("onnxruntime", partial(runner, device=device), request, device)
        or _open_rows("onnxruntime", partial(read_rows, device=device), request, device)
        or OnnxRuntimeEngine(
            request.graph,
            size=request.size,
            batch_size=request.batch_size,
            threads=request.threads,
            nms=request.nms,
            # The other two also run smaller batches, and TensorRT would build an engine for each size.
            device=device.with_tensorrt(request.engines, available),
            # On a CPU, selecting the best anchors takes as long as searching all scores afterwards.
            min_score=request.min_score if device.name == "cuda" else None,
        )
    )
    return BackgroundEngine(engine) if device.name == "cuda" else engine


def _open_tensorrt(request: EngineRequest) -> "Engine":
    from scripts.lib.engines.tensorrt.described import TensorRtRunner
    from scripts.lib.engines.tensorrt.engine import TensorRtEngine

    runner = partial(TensorRtRunner, precision=request.precision, folder=request.engines)
    return _open_described("tensorrt", runner, request, None) or TensorRtEngine(
        request.graph,
        size=request.size,
        batch_size=request.batch_size,
        precision=request.precision,
        folder=request.engines,
        nms=request.nms,
        min_score=request.min_score,
    )


def _open_described(
    engine: str, runner: "MakeRunner", request: EngineRequest, device: Device | None = _CPU
) -> "Engine | None":
    """Return an engine for a network with a description; None if it has none."""
    if request.description is None:
        return None
    from scripts.lib.engines.described.engine import open_described

    return open_described(request, request.description, engine=engine, make_runner=runner, device=device)


def _open_rows(engine: str, read: "ReadRows", request: EngineRequest, device: Device = _CPU) -> "Engine | None":
    """Return an engine for a graph whose outputs are rows; None for any other graph, such as every frozen one."""
    if request.graph.suffix == ".pb":
        return None
    from scripts.lib.engines.rows import open_rows

    return open_rows(request, engine=engine, read=read, device=device)


ENGINES = {
    "openvino": EngineKind((".pb", ".onnx", ".xml"), ("f32", "int8"), "detect", is_built=False, open=_open_openvino),
    "onnxruntime": EngineKind((".onnx",), ("f32",), "detect", is_built=False, open=_open_onnxruntime),
    "tensorrt": EngineKind((".onnx",), ("f16", "f32"), "tensorrt", is_built=True, open=_open_tensorrt),
}

# The engine if the settings name none and there is no GPU.
DEFAULT_ENGINE = next(iter(ENGINES))


def names_of(*, suffix: str | None = None, precision: str | None = None, is_built: bool | None = None) -> list[str]:
    """Return the names of the engines with these properties; None accepts any value."""
    return [
        name
        for name, kind in ENGINES.items()
        if (suffix is None or suffix in kind.suffixes)
        and (precision is None or precision in kind.precisions)
        and (is_built is None or is_built == kind.is_built)
    ]


def open_engine(
    graph: Path,
    *,
    engine: str,
    size: "Size",
    batch_size: int,
    threads: int,
    precision: str = "f32",
    engines: Path = Path("engines"),
    nms: "Nms | None" = None,
    rows: RowsConvention | None = None,
    description: "Description | None" = None,
    names: int = 0,
    device: str = "cpu",
    min_score: float | None = None,
) -> "Engine":
    """Open a network in an engine.

    Args:
        graph: the network's file.
        engine: a name in ENGINES.
        size: see EngineRequest, also for the arguments below.
        batch_size: see EngineRequest.
        threads: see EngineRequest.
        precision: see EngineRequest.
        engines: see EngineRequest.
        nms: see EngineRequest.
        rows: see EngineRequest.
        description: see EngineRequest.
        names: see EngineRequest.
        device: see EngineRequest.
        min_score: see EngineRequest.

    Raises:
        GraphError: the engine cannot use the graph.
        DeviceError: GPU, driver or TensorRT is missing or fails.
        SettingsError: there is no such engine, or a setting is missing that the graph needs.
    """
    if engine not in ENGINES:
        raise SettingsError(f"detect.engine is {engine!r}; expected one of {', '.join(ENGINES)}")
    kind = ENGINES[engine]
    if graph.suffix not in kind.suffixes:
        raise GraphError(
            f"{graph}: {engine} cannot read a file that ends in {graph.suffix or graph.name!r}; "
            f"expected {' or '.join(kind.suffixes)}"
        )
    request = EngineRequest(
        graph, size, batch_size, threads, precision, engines, nms, rows, description, names, device, min_score
    )
    if kind.is_built:  # building may take long, so there is no deadline
        return kind.open(request)
    with deadline.watched(str(graph), f"being loaded by {engine}"):
        return kind.open(request)
