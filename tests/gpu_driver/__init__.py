"""Stand-ins for TensorRT, pycuda and the GPU, held to the signatures of the real libraries."""

import sys
from types import ModuleType

import pytest

from tests.gpu_driver.device import Device, make_pycuda
from tests.gpu_driver.strict import Calls
from tests.gpu_driver.trt import make_tensorrt


def install(monkeypatch: pytest.MonkeyPatch, version: str, fail_at: int | None = None) -> Device:
    """Make `import tensorrt` and `import pycuda.driver` find the stand-ins; return the device behind them."""
    device = Device(Calls(fail_at))
    monkeypatch.setitem(sys.modules, "tensorrt", make_tensorrt(version, device))
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", make_pycuda(device))
    return device
