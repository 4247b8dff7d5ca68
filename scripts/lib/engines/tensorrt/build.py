"""Import TensorRT 10 or 11, log its messages, check the results of its calls, and build engines."""

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
    """Return an `ILogger` that logs TensorRT's messages, and keeps `last_error` for error messages."""
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
            trt.ILogger.__init__(self)  # pybind11 needs this call instead of super()
            self.last_error = ""

        def log(self, severity: Any, msg: str) -> None:
            level = levels[severity]
            if level == logging.ERROR:
                self.last_error = msg
            _log.log(level, "TensorRT: %s", msg)

    return Logger()


def checked(name: str, result: Any, logger: Any) -> Any:
    """Return the result of a TensorRT call, after a check that the call succeeded.

    Args:
        name: name of the call for errors.
        result: result of the call.
        logger: the logger of `make_logger`.

    Raises:
        DeviceError: the result is None or False.
    """
    if result is None or result is False:
        raise DeviceError(
            f"TensorRT's {name} failed: {logger.last_error or 'it does not say why'}; does the GPU have memory free "
            f"(`nvidia-smi`)? Else set detect.batch_size lower, or {REMEDY}"
        )
    return result


def create(kind: Any, name: str, *arguments: Any) -> Any:
    """Return a new Builder, Runtime or OnnxParser.

    Raises:
        DeviceError: no GPU can be used; pybind11 raises a TypeError.
    """
    try:
        return kind(*arguments)
    except TypeError as error:
        raise DeviceError(f"TensorRT's {name} cannot start ({error}): no NVIDIA GPU can be used; {REMEDY}") from error


def build_plan(trt: ModuleType, model: bytes, logger: Any) -> bytes:
    """Build an engine.

    Args:
        trt: the module `tensorrt`.
        model: content of an ONNX file with fixed shapes; its types set the precision.
        logger: the logger of `make_logger`.

    Returns:
        The serialized engine, for this version of TensorRT and this GPU.

    Raises:
        DeviceError: TensorRT cannot build it.
    """
    builder = create(trt.Builder, "Builder", logger)
    # From 11 on every network is strongly typed; the flag is still accepted.
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = checked("Builder.create_network", builder.create_network(flags), logger)
    parser = create(trt.OnnxParser, "OnnxParser", network, logger)
    if not parser.parse(model):
        errors = [parser.get_error(at) for at in range(parser.num_errors)]
        reasons = "; ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors)
        raise DeviceError(f"TensorRT's OnnxParser.parse cannot read the network: {reasons}; {REMEDY}")
    config = checked("Builder.create_builder_config", builder.create_builder_config(), logger)
    config.clear_flag(trt.BuilderFlag.TF32)  # f32 means full float32, not its upper 19 bits
    plan = builder.build_serialized_network(network, config)
    return bytes(checked("Builder.build_serialized_network", plan, logger))
