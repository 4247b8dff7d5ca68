"""Values that take long to make, and that the workers of one session (pytest-xdist) share."""

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

Value = TypeVar("Value")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Value]) -> Value:
    """Return what `make` returns; the first worker that asks calls it, and the others wait and read it.

    Args:
        factory: of this worker's temporary folders.
        name: tells the value from others.
        make: called with an empty folder of this name; what it returns is pickled.
    """
    base = factory.getbasetemp()
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    value = session / f"{name}.pickle"
    with (session / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not value.exists():
            made = make(factory.mktemp(name))
            value.write_bytes(pickle.dumps(made))
    return cast(Value, pickle.loads(value.read_bytes()))
