"""Convert frames to a network's input on an NVIDIA GPU, so that usually only bytes are copied there."""

import importlib
from typing import Any

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.closeable import Closeable
from scripts.lib.engines.onnx_graphs.small_graphs import FLOAT, FLOAT16, UINT8, Constants, Step, write_graph
from scripts.lib.engines.onnxruntime.devices import Device, require_provider
from scripts.lib.engines.onnxruntime.gpu_faults import gpu_faults
from scripts.lib.engines.onnxruntime.pinned import PinnedArrays, load_runtime
from scripts.lib.graphs.description import PixelFormat
from scripts.lib.graphs.feeding import Input, operators

FRAMES, NUMBERS = "frames", "numbers"
_TYPES = {"float32": FLOAT, "float16": FLOAT16, "uint8": UINT8}


class GpuFeeding(Closeable):
    """A small graph that onnxruntime runs before the network."""

    def __init__(self, pixels: PixelFormat, taken: Input, size: Size, device: Device, dtype: str = "uint8") -> None:
        """Open a session of the graph.

        Args:
            pixels: the pixel format of the network.
            taken: the network's input.
            size: the size of the network's input.
            device: the GPU.
            dtype: NumPy's name of the type of the frames' pixels.

        Raises:
            DeviceError: the GPU cannot be used.
        """
        self._device = device.name
        self._session: Any = open_small(write_feeding(pixels, taken, size, dtype), device)
        self._pinned = PinnedArrays(load_runtime(importlib.import_module("onnxruntime").cuda_version))

    def feed(self, batch: Pixels, *, is_reused: bool) -> Any:
        """Return the network's input for a batch, as an OrtValue on the GPU.

        Args:
            batch: (n, H, W, 3) BGR.
            is_reused: whether the memory of the batch is used for later batches too, so that pinning it is worthwhile.
        """
        content = np.ascontiguousarray(batch)
        if is_reused and content is batch:
            self._pinned.pin(content)
        binding = self._session.io_binding()
        binding.bind_cpu_input(FRAMES, content)
        binding.bind_output(NUMBERS, self._device)
        self._session.run_with_iobinding(binding)
        return binding.get_outputs()[0]

    def close(self) -> None:
        """Free the session, and release the memory of the batches; may be called again."""
        self._session = None
        self._pinned.close()


def open_small(model: bytes, device: Device) -> Any:
    """Return a session of a graph of a few operators, without TensorRT, which would build an engine for it.

    Raises:
        DeviceError: the GPU cannot be used.
    """
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # it runs on the GPU only
    plain = device.without_tensorrt()
    with gpu_faults(plain):
        session = onnxruntime.InferenceSession(model, options, providers=plain.providers)
    require_provider(session.get_providers(), plain)
    return session


def write_feeding(pixels: PixelFormat, taken: Input, size: Size, dtype: str = "uint8") -> bytes:
    """Return an ONNX file that makes of frames, (n, H, W, 3) BGR, what a network takes.

    Args:
        pixels: the pixel format of the network.
        taken: the network's input.
        size: the size of the network's input.
        dtype: NumPy's name of the type of the frames' pixels.
    """
    steps: list[Step] = []
    constants: Constants = {}
    last = FRAMES
    for index, (kind, values, attributes) in enumerate(operators(pixels, taken, size, taken.batch or 1)):
        inputs = [last]
        if values is not None:
            constants[f"values/{index}"] = values
            inputs.append(f"values/{index}")
        last = f"step/{index}"
        steps.append(Step(kind, inputs, [last], attributes))
    steps[-1] = steps[-1]._replace(outputs=[NUMBERS])
    given, made = {FRAMES: _TYPES[dtype]}, {NUMBERS: _TYPES[taken.kind]}
    return write_graph("feeding", steps, constants, inputs=given, outputs=made)
