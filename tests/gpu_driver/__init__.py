"""Stand-ins for TensorRT, pycuda and the GPU, checked against the signatures of the real libraries."""

import functools
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.gpu_driver.device import Device, make_pycuda
from tests.gpu_driver.strict import TENSORRT, Calls
from tests.gpu_driver.trt import make_tensorrt

_PACKAGES = Path(__file__).parent / "packages"
# PYTHONPATH of a job that has to import the stand-ins.
ENVIRON = {"PYTHONPATH": os.pathsep.join([str(_PACKAGES), str(_PACKAGES.parents[2])])}


class StandIns(NamedTuple):
    """The modules, and their device."""

    tensorrt: ModuleType
    pycuda: ModuleType
    device: Device


def make(version: str, fail_at: int | None = None) -> StandIns:
    """Return stand-ins for a version of TensorRT; the call at place `fail_at` fails."""
    device = Device(Calls(fail_at))
    return StandIns(make_tensorrt(version, device), make_pycuda(device), device)


@functools.cache
def shared() -> StandIns:
    """Return the stand-ins of this process."""
    return make(TENSORRT[-1])


def install(monkeypatch: pytest.MonkeyPatch, version: str, fail_at: int | None = None) -> Device:
    """Make `import tensorrt` and `import pycuda.driver` find stand-ins; return their device."""
    made = make(version, fail_at)
    monkeypatch.setitem(sys.modules, "tensorrt", made.tensorrt)
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", made.pycuda)
    return made.device
