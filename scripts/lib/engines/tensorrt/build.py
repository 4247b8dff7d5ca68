"""TensorRT itself, 10 or 11: its import, its messages, what it gives back, and the building of engines."""

import importlib
import logging
from types import ModuleType
from typing import Any

from scripts.lib.engines.tensorrt.cuda import REMEDY
from scripts.lib.errors import DeviceError

_log = logging.getLogger(__name__)


def load_tensorrt() -> ModuleType:
    """Import TensorRT.

    Raises:
        DeviceError: it is missing.
    """
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise DeviceError(
            f"TensorRT cannot be loaded here ({error}): run where an NVIDIA GPU is and install what envs/tensorrt.yaml "
            f"names, or {REMEDY}"
        ) from error


def make_logger(trt: ModuleType) -> Any:
    """Return an `ILogger` that hands TensorRT's messages on, and keeps the `last_error` for ours."""
    severity = trt.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.WARNING,
        severity.INFO: logging.DEBUG,
        severity.VERBOSE: logging.DEBUG,
    }

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants this call itself, not super()'s
            self.last_error = ""

        def log(self, severity: Any, msg: str) -> None:
            level = levels[severity]
            if level == logging.ERROR:
                self.last_error = msg
            _log.log(level, "TensorRT: %s", msg)

    return Logger()


def checked(name: str, result: Any, logger: Any) -> Any:
    """Return what a call of TensorRT gave, unless that says that it failed.

    Raises:
        DeviceError: it gave None or False; the message names the call.
    """
    if result is None or result is False:
        raise DeviceError(
            f"TensorRT's {name} failed: {logger.last_error or 'it does not say why'}; does the GPU have memory free "
            f"(`nvidia-smi`)? Else set detect.batch_size lower, or {REMEDY}"
        )
    return result


def make(kind: Any, name: str, *arguments: Any) -> Any:
    """Return a new Builder, Runtime or OnnxParser.

    Raises:
        DeviceError: there is no GPU for it, which pybind11 calls a TypeError.
    """
    try:
        return kind(*arguments)
    except TypeError as error:
        raise DeviceError(f"TensorRT's {name} cannot start ({error}): no NVIDIA GPU can be used; {REMEDY}") from error


def build_plan(trt: ModuleType, model: bytes, logger: Any) -> bytes:
    """Build an engine.

    Args:
        trt: the module `tensorrt`.
        model: an ONNX file's content, of fixed shapes, its precision in its types.
        logger: from `make_logger`.

    Returns:
        The serialised engine, for this version of TensorRT and this GPU.

    Raises:
        DeviceError: TensorRT cannot build it.
    """
    builder = make(trt.Builder, "Builder", logger)
    # From 11 on every network is strongly typed; the flag is still taken.
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = checked("Builder.create_network", builder.create_network(flags), logger)
    parser = make(trt.OnnxParser, "OnnxParser", network, logger)
    if not parser.parse(model):
        errors = [parser.get_error(at) for at in range(parser.num_errors)]
        reasons = "; ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors)
        raise DeviceError(f"TensorRT's OnnxParser.parse cannot read the network: {reasons}; {REMEDY}")
    config = checked("Builder.create_builder_config", builder.create_builder_config(), logger)
    config.clear_flag(trt.BuilderFlag.TF32)  # f32 is to be float32, not its upper 19 bits
    plan = builder.build_serialized_network(network, config)
    return bytes(checked("Builder.build_serialized_network", plan, logger))
