"""A stand-in for pycuda and its GPU, as strict as the real one.

Memory has wrong values until it is written, and again after it is freed. Work queued on a stream is done only when the
stream is waited for. A call without a current context, or with memory that is freed or of another size, is a Misuse.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tests.gpu_driver.strict import PYCUDA, Calls, Misuse, checked_function, read_api, strict

POISON = 0xFF  # as float32 not a number
NAME, CAPABILITY, DRIVER = "NVIDIA Stand-in", (8, 6), 13000


class Device:
    """The state of the machine: contexts of each thread, memory, streams."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.stacks: dict[int, list[Any]] = defaultdict(list)
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: set[int] = set()
        # Queued work of each stream, with the addresses and arrays that it needs.
        self.streams: dict[int, list[tuple[Callable[[], None], set[int]]]] = {}
        self.retained = 0
        self._next = 0x7F0000000000

    def need_context(self, what: str) -> None:
        if not self.stacks[threading.get_ident()]:
            raise Misuse(f"{what}: no context is current in this thread")

    def allocate(self, size: int) -> int:
        address, self._next = self._next, self._next + size + (-size) % 512 + 512
        self.memory[address] = np.full(size, POISON, np.uint8)
        return address

    def at(self, address: int, size: int) -> np.ndarray:
        if address not in self.memory:
            raise Misuse(f"nothing is allocated at {address:#x}")
        if len(self.memory[address]) != size:
            raise Misuse(f"{size} bytes at {address:#x}, where {len(self.memory[address])} are allocated")
        return self.memory[address]

    def need_idle(self, what: str, memory: int) -> None:
        if any(memory in used for queue in self.streams.values() for _, used in queue):
            raise Misuse(f"{what}: work that uses it is under way")

    def check_clean(self) -> None:
        """Raise a Misuse unless everything was released."""
        left = {thread: stack for thread, stack in self.stacks.items() if stack}
        if left or self.memory or self.pinned or self.retained:
            raise Misuse(
                f"left behind: contexts {left}, {len(self.memory)} allocations, {len(self.pinned)} pinned arrays, "
                f"{self.retained} primary contexts"
            )


def make_pycuda(device: Device) -> ModuleType:  # noqa: C901 - it is a module's worth of classes
    """Return a module `pycuda.driver` for a device."""
    api = read_api("pycuda", PYCUDA)
    module = ModuleType("pycuda.driver")
    for name in api["exceptions"]:
        setattr(module, name, type(name, (module.Error if name != "Error" else Exception,), {}))  # type: ignore[attr-defined]

    def before(name: str, returns: str, call: Callable[[], Any]) -> Any:
        if not device.calls.next_fails(name):
            return call()
        if name.endswith(("pop", "free", "detach", "synchronize")):
            call()  # errors of earlier work are raised here; the call itself is done
        raise module.Error(f"{name} failed: on purpose")  # type: ignore[attr-defined]

    class Device:
        def __init__(self, number: int) -> None:
            if number != 0:
                raise module.LogicError("cuDeviceGet failed: invalid device ordinal")  # type: ignore[attr-defined]

        def name(self) -> str:
            return NAME

        def compute_capability(self) -> tuple[int, int]:
            return CAPABILITY

        def retain_primary_context(self) -> Any:
            device.retained += 1
            return module.Context()

    class Context:
        def push(self) -> None:
            device.stacks[threading.get_ident()].append(self)

        @staticmethod
        def pop() -> None:
            device.need_context("Context.pop")
            device.stacks[threading.get_ident()].pop()

        def detach(self) -> None:
            if any(self in stack for stack in device.stacks.values()):
                raise Misuse("Context.detach: it is still pushed")
            device.retained -= 1

    class Stream:
        def __init__(self) -> None:
            device.need_context("Stream")
            self._handle = 0x5000 + len(device.streams)
            device.streams[self._handle] = []

        @property
        def handle(self) -> int:
            return self._handle

        def synchronize(self) -> None:
            device.need_context("Stream.synchronize")
            queue = device.streams[self._handle]
            while queue:
                queue.pop(0)[0]()

    class DeviceAllocation:
        def __init__(self, address: int) -> None:
            self._address = address

        def __int__(self) -> int:
            return self._address

        def free(self) -> None:
            device.need_context("DeviceAllocation.free")
            device.need_idle("DeviceAllocation.free", self._address)
            device.memory.pop(self._address)

    class PagelockedHostAllocation:
        def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
            self._array = np.zeros(shape, dtype)
            self._array.view(np.uint8)[...] = POISON
            self.__array_interface__ = self._array.__array_interface__
            device.pinned.add(id(self))

        def free(self) -> None:
            device.need_context("PagelockedHostAllocation.free")
            device.need_idle("PagelockedHostAllocation.free", id(self))
            self._array.view(np.uint8)[...] = POISON
            device.pinned.remove(id(self))

    kinds = (Device, Context, Stream, DeviceAllocation, PagelockedHostAllocation)
    for kind in kinds:
        found = api["classes"][kind.__name__]
        methods = {name: _overloads(parameters) for name, parameters in found["methods"].items()}
        if {name for name, member in vars(kind).items() if isinstance(member, staticmethod)} - set(found["static"]):
            raise Misuse(f"{kind.__name__}: not static")
        strict(kind, {"methods": methods, "properties": found["properties"]}, before)
        setattr(module, kind.__name__, kind)

    def init() -> None: ...

    def get_driver_version() -> int:
        return DRIVER

    def mem_alloc(size: int) -> DeviceAllocation:
        device.need_context("mem_alloc")
        return DeviceAllocation(device.allocate(size))

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        device.need_context("pagelocked_empty")
        return np.asarray(PagelockedHostAllocation(shape, np.dtype(dtype)))

    def memcpy_htod_async(dest: Any, src: np.ndarray, stream: Any) -> None:
        queue(
            src, int(dest), stream, lambda: np.copyto(device.at(int(dest), src.nbytes), src.reshape(-1).view(np.uint8))
        )

    def memcpy_dtoh_async(dest: np.ndarray, src: Any, stream: Any) -> None:
        queue(
            dest, int(src), stream, lambda: np.copyto(dest.reshape(-1).view(np.uint8), device.at(int(src), dest.nbytes))
        )

    def queue(host: np.ndarray, address: int, stream: Any, work: Callable[[], None]) -> None:
        device.need_context("memcpy")
        if id(host.base) not in device.pinned:
            raise Misuse("memcpy: the host's memory is not pinned, or freed")
        device.streams[stream.handle].append((work, {id(host.base), address}))

    functions = (init, get_driver_version, mem_alloc, pagelocked_empty, memcpy_htod_async, memcpy_dtoh_async)
    for function in functions:
        name = function.__name__
        checked = checked_function(name, function, _overloads(api["functions"][name]), before)
        setattr(module, name, checked.__func__)
    return module


def _overloads(parameters: list) -> list[dict]:
    return [{"parameters": [[name, None, default] for name, default in parameters], "returns": None}]
