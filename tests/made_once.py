"""Values that are slow to make, shared by the workers of a session (pytest-xdist)."""

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

Value = TypeVar("Value")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Value]) -> Value:
    """Return the result of `make`; the first worker calls it, and the others wait and read the result.

    Args:
        factory: makes this worker's temporary folders.
        name: the name of the value.
        make: called with an empty folder of this name; its result is pickled.
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
