"""A stand-in for the module `tensorrt` of one version, which really runs a network.

It runs the graph of the "engine" with onnxruntime, in the memory of the stand-in GPU.
"""

import enum
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tests.gpu_driver.device import NAME, Device
from tests.gpu_driver.strict import Misuse, read_api, strict

_TYPES = {
    "tensor(uint8)": (np.uint8, "UINT8"),
    "tensor(float)": (np.float32, "FLOAT"),
    "tensor(int32)": (np.int32, "INT32"),
}


def make_tensorrt(version: str, device: Device) -> ModuleType:  # noqa: C901 - it is a module's worth of classes
    """Return a module `tensorrt` for a device."""
    api = read_api("tensorrt", version)
    module: Any = ModuleType("tensorrt")
    module.__version__ = version

    def before(name: str, returns: str, call: Callable[[], Any]) -> Any:
        failure = _failure(name, returns)
        if failure is None or not device.calls.next_fails(name):
            return call()
        return failure()

    enums = {name: enum.Enum(name, members) for name, members in api["enums"].items()}
    for kind in enums.values():
        kind.__int__ = lambda self: self.value  # type: ignore[attr-defined]
    module.BuilderFlag, module.DataType = enums["BuilderFlag"], enums["DataType"]
    module.NetworkDefinitionCreationFlag = enums["NetworkDefinitionCreationFlag"]
    module.TensorIOMode = enums["TensorIOMode"]

    class ILogger:
        Severity = enums["ILogger.Severity"]

        def __init__(self) -> None:
            self._made = True

        def log(self, severity: Any, msg: str) -> None:
            raise Misuse("ILogger.log has to be overridden")

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            device.need_context("Builder")
            if not vars(logger).get("_made"):
                raise Misuse("ILogger.__init__ was not called")
            self._logger = logger
            logger.log(ILogger.Severity.INFO, "the builder is made")

        def create_network(self, flags: int = 0) -> Any:
            if not flags >> int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED) & 1:
                raise Misuse("the network is not strongly typed")
            return INetworkDefinition()

        def create_builder_config(self) -> Any:
            return IBuilderConfig()

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            header = json.dumps({"version": version, "gpu": NAME}).encode()
            return IHostMemory(header + b"\n" + network._model)

    class INetworkDefinition:
        _model = b""

    class IBuilderConfig:
        def clear_flag(self, flag: Any) -> None: ...

    class IHostMemory(bytes): ...

    class ParserError:
        def node_operator(self) -> str:
            return "Conv"

        def node_name(self) -> str:
            return "first"

        def desc(self) -> str:
            return "no such operator"

    class OnnxParser:
        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            self._network = network

        def parse(self, model: bytes) -> bool:
            onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
            self._network._model = model
            return True

        @property
        def num_errors(self) -> int:
            return 1

        def get_error(self, index: int) -> ParserError:
            return ParserError()

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            device.need_context("Runtime")

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            device.need_context("Runtime.deserialize_cuda_engine")
            header, _, model = serialized_engine.partition(b"\n")
            return ICudaEngine(model) if json.loads(header) == {"version": version, "gpu": NAME} else None

    class ICudaEngine:
        def __init__(self, model: bytes) -> None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._inputs = {one.name: one for one in self._session.get_inputs()}
            self._all = self._inputs | {one.name: one for one in self._session.get_outputs()}

        @property
        def num_io_tensors(self) -> int:
            return len(self._all)

        def get_tensor_name(self, index: int) -> str:
            return list(self._all)[index]

        def get_tensor_mode(self, name: str) -> Any:
            return module.TensorIOMode.INPUT if name in self._inputs else module.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            return module.DataType[_TYPES[self._all[name].type][1]]

        def create_execution_context(self) -> Any:
            device.need_context("ICudaEngine.create_execution_context")
            return IExecutionContext(self)

    class IExecutionContext:
        def __init__(self, engine: ICudaEngine) -> None:
            self._engine = engine
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._addresses: dict[str, int] = {}
            self._under_way = False

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            fits = tuple(self._engine._inputs[name].shape) == shape
            if fits:
                self._shapes[name] = shape
            return fits

        def infer_shapes(self) -> list[str]:
            return [name for name in self._engine._inputs if name not in self._shapes]

        def get_tensor_shape(self, name: str) -> Any:
            return Dims(self._engine._all[name].shape)

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = int(memory)
            return name in self._engine._all

        def execute_async_v3(self, stream_handle: int) -> bool:
            device.need_context("IExecutionContext.execute_async_v3")
            if self._under_way:
                raise Misuse("IExecutionContext.execute_async_v3: this context is still at work")
            if set(self._addresses) != set(self._engine._all) or set(self._shapes) != set(self._engine._inputs):
                raise Misuse("IExecutionContext.execute_async_v3: a shape or an address is missing")
            self._under_way = True
            addresses = dict(self._addresses)
            device.streams[stream_handle].append((lambda: self._run(addresses), set(addresses.values())))
            return True

        def _run(self, addresses: dict[str, int]) -> None:
            session = self._engine._session
            feeds = {name: self._view(name, addresses) for name in self._engine._inputs}
            names = [one.name for one in session.get_outputs()]
            for name, values in zip(names, session.run(names, feeds), strict=True):
                np.copyto(self._view(name, addresses), values)
            self._under_way = False

        def _view(self, name: str, addresses: dict[str, int]) -> np.ndarray:
            tensor = self._engine._all[name]
            dtype = np.dtype(_TYPES[tensor.type][0])
            size = int(np.prod(tensor.shape)) * dtype.itemsize
            return device.at(addresses[name], size).view(dtype).reshape(tensor.shape)

    class Dims:
        def __init__(self, shape: list[int] | None) -> None:
            self._shape = shape

        def __len__(self) -> int:
            return -1 if self._shape is None else len(self._shape)  # as in the real library, if there is none

        def __iter__(self) -> Iterator[int]:
            return iter(self._shape or [])

    def _failure(name: str, returns: str) -> Callable[[], Any] | None:
        """Return how a call fails; None if it cannot."""
        if name.endswith("__init__"):
            return None if name.startswith("ILogger") else _nullptr
        if returns == "tensorrt.Dims":
            return lambda: Dims(None)
        failures: dict[str, Any] = {"bool": False, "str": None, "list[str]": ["frames"]}
        if returns in failures and "Error" not in name:
            return lambda: failures[returns]
        made = ("ICudaEngine", "IExecutionContext", "INetworkDefinition", "IBuilderConfig", "IHostMemory")
        return (lambda: None) if returns.removeprefix("tensorrt.") in made else None

    kinds = (
        ILogger, Builder, INetworkDefinition, IBuilderConfig, IHostMemory, ParserError, OnnxParser, Runtime,
        ICudaEngine, IExecutionContext, Dims,
    )  # fmt: skip
    for kind in kinds:
        kind.__qualname__ = kind.__name__
        if kind is not Dims:
            strict(kind, api["classes"][kind.__name__], before)
        setattr(module, kind.__name__, kind)
    return module


def _nullptr() -> None:
    raise TypeError("pybind11::init(): factory function returned nullptr")
