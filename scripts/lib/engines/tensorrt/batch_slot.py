"""What TensorRT needs to compute a batch: an execution context, a stream, and memory for input and outputs."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy.typing as npt

from scripts.lib.boxes import Pixels
from scripts.lib.engines.tensorrt.build import checked
from scripts.lib.engines.tensorrt.cuda import Buffer, Gpu
from scripts.lib.errors import DeviceError


class BatchSlot:
    """An execution context, a stream and buffers for one batch; an engine may use several slots at once."""

    def __init__(self, gpu: Gpu, logger: Any) -> None:
        """Store the GPU and TensorRT's logger; `open` allocates the slot."""
        self._gpu, self._logger = gpu, logger
        self._context: Any = None
        self._stream: Any = None
        self._buffers: list[Buffer] = []
        self._frames = 0

    def open(self, engine: Any, kinds: Mapping[str, npt.DTypeLike], shape: tuple[int, ...]) -> None:
        """Create the context and allocate the buffers, for batches of a fixed shape.

        Args:
            engine: an `ICudaEngine`.
            kinds: types of the engine's tensors by name, the frames first.
            shape: shape of a batch of frames.

        Raises:
            DeviceError: a call failed; the message names it.
        """
        with self._gpu.current():
            self._stream = self._gpu.stream()
            self._context = self._checked("ICudaEngine.create_execution_context", engine.create_execution_context())
            frames = next(iter(kinds))
            self._checked("IExecutionContext.set_input_shape", self._context.set_input_shape(frames, shape))
            if unknown := self._context.infer_shapes():
                raise DeviceError(f"TensorRT's IExecutionContext.infer_shapes lacks the shapes of {', '.join(unknown)}")
            for name, kind in kinds.items():
                buffer = self._gpu.buffer(self._shape(name), kind)
                self._buffers.append(buffer)
                self._checked(
                    "IExecutionContext.set_tensor_address", self._context.set_tensor_address(name, buffer.address)
                )
        if self._buffers[0].host.shape != shape:
            raise DeviceError(f"the engine takes batches of {self._buffers[0].host.shape}; expected {shape}")

    def _execute(self, batch: Pixels) -> None:
        """Copy a batch to the GPU and run it, both asynchronously; black frames fill the rest of the batch."""
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
        """Free everything, also if freeing a part of it fails."""
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
