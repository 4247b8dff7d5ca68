"""Engine files: one for each combination of everything that an engine depends on, so that no wrong one is loaded.

`KEY.engine` is TensorRT's file. `KEY.json` next to it has the values whose hash is KEY, and the hash of the file.
"""

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.engines.file_lock import locked
from scripts.lib.engines.tensorrt.build import build_plan, checked, create
from scripts.lib.engines.tensorrt.cuda import Gpu, GpuModel
from scripts.lib.engines.tensorrt.prepare import prepare
from scripts.lib.engines.tensorrt.prepare_described import prepare_described
from scripts.lib.files import read_json, replacing, sha256, write_json
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.description_values import from_values

_log = logging.getLogger(__name__)
# Modules that prepare and build an engine: a change of one of them makes a new engine file.
_MODULES = (
    "engines/onnx_graphs/folding.py", "engines/onnx_graphs/half.py", "engines/onnx_graphs/small_graphs.py",
    "engines/onnx_graphs/top_k.py", "engines/onnx_graphs/top_k_described.py", "engines/tensorrt/build.py",
    "engines/tensorrt/prepare.py", "engines/tensorrt/prepare_described.py", "graphs/feeding.py",
)  # fmt: skip


@dataclass(frozen=True)
class EngineParts:
    """Everything that an engine depends on.

    Attributes:
        tensorrt: version of TensorRT.
        gpu: the GPU and its driver.
        onnx: SHA-256 of the graph.
        batch_size: number of frames in a batch.
        size: the size of the network's input in pixels.
        precision: f16 or f32.
        code: hash of the modules that prepare and build the engine.
        description: the network's description as a JSON object; None if it has none.
    """

    tensorrt: str
    gpu: GpuModel
    onnx: str
    batch_size: int
    size: Size
    precision: str
    code: str
    description: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The parts as a JSON object."""
        values = asdict(self) | {"gpu": self.gpu._asdict(), "size": self.size._asdict()}
        if self.description is None:
            del values["description"]
        return values

    @property
    def key(self) -> str:
        """A hash of all parts."""
        return hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def file(self) -> str:
        """The name of the engine's file."""
        return f"{self.key}.engine"


def engine_parts(
    trt: ModuleType, gpu: Gpu, graph: Path, *, size: Size, batch_size: int, precision: str,
    description: Description | None = None,
) -> EngineParts:  # fmt: skip
    """Return everything that the engine of a graph depends on, on this machine."""
    library = Path(__file__).parents[2]
    code = hashlib.sha256(b"".join((library / name).read_bytes() for name in _MODULES)).hexdigest()[:16]
    values = description.to_values() if description else None
    return EngineParts(str(trt.__version__), gpu.model, sha256(graph), batch_size, size, precision, code, values)


def load_engine(trt: ModuleType, gpu: Gpu, logger: Any, *, graph: Path, folder: Path, parts: EngineParts) -> list[Any]:
    """Load an engine; build its file first if it does not exist, or if TensorRT cannot load it.

    Args:
        trt: the module `tensorrt`.
        gpu: the GPU that runs the engine.
        logger: the logger of `make_logger`.
        graph: the ONNX graph.
        folder: the folder of the engine files.
        parts: everything that the engine depends on.

    Returns:
        An `ICudaEngine`, and the `Runtime` that must outlive it; `release_engine` empties this list.

    Raises:
        GraphError: the graph cannot be used.
        DeviceError: TensorRT cannot build the engine, or cannot load the engine that it built.
    """
    path = folder / parts.file
    folder.mkdir(parents=True, exist_ok=True)
    with gpu.current():
        runtime = create(trt.Runtime, "Runtime", logger)
        # Jobs that start together on a machine need the same file: one job builds it, the others wait.
        with locked(path.with_suffix(".lock")):
            if _is_intact(path):
                engine = runtime.deserialize_cuda_engine(path.read_bytes())
                if engine is not None:
                    return [engine, runtime]
                _log.warning("%s: TensorRT cannot load it (%s); it is built again", path, logger.last_error)
            plan = _build(trt, graph, parts, path, logger)
        engine = checked("Runtime.deserialize_cuda_engine", runtime.deserialize_cuda_engine(plan), logger)
        return [engine, runtime]


def _build(trt: ModuleType, graph: Path, parts: EngineParts, path: Path, logger: Any) -> bytes:
    started = time.monotonic()
    _log.info("%s: building it for %s, which can take minutes", path, parts.gpu.name)
    if parts.description is None:
        model = prepare(graph, size=parts.size, batch_size=parts.batch_size, precision=parts.precision)
    else:
        model = prepare_described(
            graph, from_values(parts.description), size=parts.size, batch_size=parts.batch_size,
            precision=parts.precision,
        )  # fmt: skip
    plan = build_plan(trt, model, logger)
    record = path.with_suffix(".json")
    record.unlink(missing_ok=True)  # an engine file without a record is never loaded
    with replacing(path, "wb") as stream:
        stream.write(plan)
    write_json(record, parts.values | {"sha256": hashlib.sha256(plan).hexdigest()})
    _log.info("%s: %.1f MB, built in %.1f s", path, len(plan) / 1e6, time.monotonic() - started)
    return plan


def _is_intact(path: Path) -> bool:
    """Return whether the file exists and has the recorded hash: TensorRT may crash on a damaged file."""
    record = path.with_suffix(".json")
    if not path.exists() or not record.exists():
        return False
    try:
        recorded = read_json(record)["sha256"]
    except (ValueError, KeyError, TypeError) as error:  # it was cut, as by a power failure
        _log.warning("%s: damaged (%s: %s); the engine is built again", record, type(error).__name__, error)
        return False
    if recorded != sha256(path):
        _log.warning("%s: differs from the hash in %s; it is built again", path, record.name)
        return False
    return True


def release_engine(gpu: Gpu, loaded: list[Any]) -> None:
    """Release the result of `load_engine`: the engine, then its runtime."""
    with gpu.current():
        while loaded:
            loaded.pop(0)
