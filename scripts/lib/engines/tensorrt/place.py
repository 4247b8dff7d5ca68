"""Where TensorRT computes a batch: an execution context, a stream, and the memory of the input and the outputs."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy.typing as npt

from scripts.lib.boxes import Pixels
from scripts.lib.engines.tensorrt.build import checked
from scripts.lib.engines.tensorrt.cuda import Buffer, Gpu
from scripts.lib.errors import DeviceError


class Place:
    """A place for one batch; further ones of the same engine may be under way at once."""

    def __init__(self, gpu: Gpu, logger: Any) -> None:
        """Name the GPU, and TensorRT's logger."""
        self._gpu, self._logger = gpu, logger
        self._context: Any = None
        self._stream: Any = None
        self._buffers: list[Buffer] = []
        self._frames = 0

    def open(self, engine: Any, kinds: Mapping[str, npt.DTypeLike], shape: tuple[int, ...]) -> None:
        """Make the context and the memory, for batches of a shape.

        Args:
            engine: an `ICudaEngine`.
            kinds: the type of each of its tensors, the frames' first.
            shape: of the frames.

        Raises:
            DeviceError: naming the call that failed.
        """
        with self._gpu.current():
            self._stream = self._gpu.stream()
            self._context = self._checked("ICudaEngine.create_execution_context", engine.create_execution_context())
            frames = next(iter(kinds))
            self._checked("IExecutionContext.set_input_shape", self._context.set_input_shape(frames, shape))
            if vague := self._context.infer_shapes():
                raise DeviceError(f"TensorRT's IExecutionContext.infer_shapes lacks the shapes of {', '.join(vague)}")
            for name, kind in kinds.items():
                buffer = self._gpu.buffer(self._shape(name), kind)
                self._buffers.append(buffer)
                self._checked(
                    "IExecutionContext.set_tensor_address", self._context.set_tensor_address(name, buffer.address)
                )
        if self._buffers[0].host.shape != shape:
            raise DeviceError(f"the engine takes batches of {self._buffers[0].host.shape}; expected {shape}")

    def _execute(self, batch: Pixels) -> None:
        """Queue a batch, filled up with black frames."""
        frames = self._buffers[0]
        frames.host[: len(batch)] = batch
        frames.host[len(batch) :] = 0
        self._frames = len(batch)
        frames.upload(self._stream)
        self._checked(
            "IExecutionContext.execute_async_v3", self._context.execute_async_v3(stream_handle=self._stream.handle)
        )

    def _download(self, buffers: list[Buffer]) -> None:
        for buffer in buffers:
            buffer.download(self._stream)

    def close(self) -> None:
        """Free everything, whatever of it fails."""
        with self._gpu.current(), ExitStack() as stack:
            stack.callback(self._forget)
            for buffer in self._buffers:
                stack.callback(buffer.free)
            if self._stream is not None:
                self._stream.synchronize()

    def _forget(self) -> None:
        self._buffers.clear()
        self._context = self._stream = None

    def _shape(self, name: str) -> tuple[int, ...]:
        dims = self._checked("IExecutionContext.get_tensor_shape", self._context.get_tensor_shape(name))
        try:
            return tuple(dims)
        except ValueError as error:  # its length is -1
            raise DeviceError(f"TensorRT's IExecutionContext.get_tensor_shape gives no shape of {name}") from error

    def _checked(self, name: str, result: Any) -> Any:
        return checked(name, result, self._logger)
