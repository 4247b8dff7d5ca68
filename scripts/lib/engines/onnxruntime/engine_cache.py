"""Folders for the engines that onnxruntime's TensorRT provider builds: one for everything that an engine depends on.

onnxruntime names an engine by the file name of the graph and the names of its inputs and nodes, and not by weights,
shapes or driver: in one folder for all networks it would use the engine of another network.

`onnxruntime-KEY/` has the engines, and `onnxruntime-KEY.json` the values whose hash is KEY and the hashes of the files.
"""

import ctypes
import ctypes.util
import hashlib
import importlib
import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.lib.boxes import Size
from scripts.lib.engines.file_lock import locked
from scripts.lib.engines.onnxruntime.devices import TF32, Device
from scripts.lib.files import read_json, sha256, write_json

_DRIVER = "libcuda.so.1"
_NAME_LENGTH = 256
_log = logging.getLogger(__name__)


@contextmanager
def own_engines(device: Device, graph: Path, *, size: Size, batch_size: int) -> Iterator[Device]:
    """Yield the device with a folder for the engines of one network, which other jobs wait for until the block ends.

    Engines that differ from their record are removed before the block. They are recorded when it ends normally, so the
    block must include the first batch, for which onnxruntime may build one.

    Args:
        device: the device; one without TensorRT is yielded unchanged.
        graph: the ONNX graph.
        size: the size of the network's input.
        batch_size: number of frames in a batch.

    Raises:
        DeviceError: the folder cannot be locked.
    """
    if device.built is None:
        yield device
        return
    parts = _parts(graph, size, batch_size)
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    folder = device.built / f"onnxruntime-{key}"
    record = folder.with_suffix(".json")
    device.built.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        recorded = _recorded(record)
        if recorded is None or recorded != _hashes(folder):
            recorded = None
            shutil.rmtree(folder, ignore_errors=True)
            record.unlink(missing_ok=True)
            _log.info("%s: onnxruntime builds TensorRT's engine for %s, which can take minutes", folder, graph)
        folder.mkdir(exist_ok=True)
        yield device._replace(built=folder)
        if (found := _hashes(folder)) != recorded:
            write_json(record, parts | {"files": found})


def _parts(graph: Path, size: Size, batch_size: int) -> dict[str, Any]:
    """Return everything that an engine depends on."""
    import onnxruntime  # type: ignore[import-untyped]

    return {
        "onnx": sha256(graph),
        "size": size._asdict(),
        "batch_size": batch_size,
        "onnxruntime_version": onnxruntime.__version__,
        "tensorrt_version": _tensorrt_version(),
        "gpu": _gpu_and_driver(),
        "tf32": os.environ.get(TF32),
    }


def _recorded(record: Path) -> Any:
    """Return the recorded hashes of the files; None without a record, or if it is damaged."""
    try:
        return read_json(record)["files"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.glob("*"))}


def _tensorrt_version() -> str:
    """Return the version of TensorRT's package, or else the name of the system's library, which has its version."""
    if importlib.util.find_spec("tensorrt"):
        return str(importlib.import_module("tensorrt").__version__)
    return str(ctypes.util.find_library("nvinfer"))


def _gpu_and_driver() -> list[str | int]:
    """Return the first GPU's name, and the newest CUDA version of its driver; empty without a driver."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return []
    version, gpu, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(_NAME_LENGTH)
    driver.cuInit(0)
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGet(ctypes.byref(gpu), 0)
    driver.cuDeviceGetName(name, _NAME_LENGTH, gpu)
    return [name.value.decode(errors="replace"), version.value]
