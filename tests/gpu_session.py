"""A stand-in for onnxruntime-gpu on a machine with a GPU, whose sessions compute on the CPU."""

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state

from scripts.lib.engines import table
from scripts.lib.engines.onnxruntime import devices
from scripts.lib.engines.onnxruntime.devices import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    Provider,
    choose_device,
)

onnxruntime_session = onnxruntime.InferenceSession


class GpuSession:
    """A session of onnxruntime-gpu: accepts its providers, refuses unknown options, and computes on the CPU."""

    requested: ClassVar[list[list[Provider]]] = []
    looked_in: ClassVar[list[str | None]] = []
    has_libraries = False
    loads_tensorrt = True
    # The number of further runs that succeed, and the message of those after them.
    failing: ClassVar[tuple[int, str] | None] = None
    # Options of TensorRT in the documents of onnxruntime 1.31 that the workflow could use.
    known: ClassVar[set[str]] = {
        "device_id", "trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable", "trt_engine_cache_enable",
        "trt_engine_cache_path", "trt_engine_cache_prefix", "trt_timing_cache_enable", "trt_timing_cache_path",
        "trt_force_timing_cache", "trt_builder_optimization_level", "trt_max_workspace_size",
    }  # fmt: skip

    # Options that the library of onnxruntime-gpu 1.31.1 names.
    known_of_cuda: ClassVar[set[str]] = {
        "arena_extend_strategy", "cudnn_conv_algo_search", "cudnn_conv_use_max_workspace", "device_id",
        "do_copy_in_default_stream", "enable_cuda_graph", "enable_skip_layer_norm_strict_mode", "fuse_conv_bias",
        "gpu_mem_limit", "prefer_nhwc", "sdpa_kernel", "tunable_op_enable", "use_tf32",
    }  # fmt: skip

    def __init__(self, model: str | bytes, options: Any, providers: list[Provider]) -> None:
        self.requested.append(providers)
        for provider in providers:
            if provider[0] == CUDA_PROVIDER:
                assert set(provider[1]) <= self.known_of_cuda
        self._names = [one if isinstance(one, str) else one[0] for one in providers]
        if self._names[0] == TENSORRT_PROVIDER:
            provider_options = providers[0][1]
            assert isinstance(provider_options, dict)
            assert set(provider_options) <= self.known
            for name, value in provider_options.items():
                assert value in ("0", "1") if name.endswith("_enable") else Path(value).is_dir()
            if not self.loads_tensorrt:
                self._names = self._names[1:]
            else:
                _use_engine(Path(model), Path(provider_options["trt_engine_cache_path"]))
        if not self.has_libraries:  # a warning, and the CPU
            self._names = [CPU_PROVIDER]
        self._session = onnxruntime_session(model, options, providers=[CPU_PROVIDER])

    @classmethod
    def preload(cls, directory: str | None = None) -> None:
        """Find all CUDA libraries except one, like onnxruntime.preload_dlls."""
        cls.looked_in.append(directory)
        cls.has_libraries = True
        print("Failed to load libcufft.so.12: it is not there")  # noqa: T201, as it does

    def run_with_iobinding(self, binding: Any) -> None:
        """Run, or fail as a CUDA call does."""
        if self.failing is not None:
            left, message = self.failing
            if not left:
                raise onnxruntime_pybind11_state.RuntimeException(f"[ONNXRuntimeError] : 6 : {message}")
            type(self).failing = left - 1, message
        self._session.run_with_iobinding(binding)

    def get_providers(self) -> list[str]:
        return self._names

    def io_binding(self) -> Any:
        binding = self._session.io_binding()
        bind_output = binding.bind_output
        binding.bind_output = lambda name, place: bind_output(name, {"cuda": "cpu"}[place])
        return binding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def _use_engine(graph: Path, folder: Path) -> None:
    """Use the engine in the folder or build one, under onnxruntime's name: it has no weights, shapes or batch size."""
    model = onnx.load(graph)
    names = [one.name for one in model.graph.input] + [name for node in model.graph.node for name in node.output]
    key = hashlib.md5("".join([graph.name, *names]).encode()).hexdigest()
    engine, content = folder / f"TensorrtExecutionProvider_TRTKernel_{key}_0_sm90.engine", graph.read_bytes()
    if not engine.exists():
        engine.write_bytes(content)
    assert engine.read_bytes() == content, "the engine of another network is used"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> type[GpuSession]:
    """Install stand-ins of a GPU, onnxruntime-gpu and TensorRT.

    Args:
        monkeypatch: installs and removes them.
        folder: folder of the GPU's device file.
    """
    (folder / "nvidia0").touch()
    every = [TENSORRT_PROVIDER, CUDA_PROVIDER, CPU_PROVIDER]
    monkeypatch.setattr(onnxruntime, "InferenceSession", GpuSession)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: every)
    monkeypatch.setattr(
        table, "choose_device", lambda asked, available, environ: choose_device(asked, available, {}, folder)
    )
    monkeypatch.setattr(devices, "has_tensorrt", lambda: True)
    monkeypatch.setattr(GpuSession, "requested", [])
    monkeypatch.setattr(GpuSession, "has_libraries", False)
    monkeypatch.setattr(GpuSession, "failing", None)
    monkeypatch.setattr(GpuSession, "looked_in", [])
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # the tested code sets it; set here, it is restored
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    monkeypatch.setattr(onnxruntime, "preload_dlls", GpuSession.preload)
    monkeypatch.setattr(GpuSession, "loads_tensorrt", True)
    return GpuSession
