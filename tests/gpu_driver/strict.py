"""Hold a stand-in's classes to the signatures of the real ones, and make a chosen call fail."""

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

API = Path(__file__).parent / "api"
TENSORRT = sorted(path.stem.removeprefix("tensorrt-") for path in API.glob("tensorrt-*.json"))
PYCUDA = "2026.1"


class Misuse(AssertionError):
    """The code under test did what the real library would punish, perhaps silently."""


def read_api(name: str, version: str) -> dict:
    return json.loads((API / f"{name}-{version}.json").read_text())


class Calls:
    """The calls made so far; the one at place `fail_at` fails.

    Attributes:
        names: of each call that can fail.
    """

    def __init__(self, fail_at: int | None = None) -> None:
        self.names: list[str] = []
        self._fail_at = fail_at

    def next_fails(self, name: str) -> bool:
        self.names.append(name)
        return len(self.names) - 1 == self._fail_at


def strict(kind: type, api: dict, before: Callable[[str, str, Callable[[], Any]], Any]) -> type:
    """Keep of a class what the real one has, and check every call against the real signatures.

    Args:
        kind: the stand-in; its name is the real class's.
        api: the real class's methods and properties.
        before: gets the call's name, what it returns by its signature, and the call, and makes it.
    """
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property):
            if name not in api["properties"]:
                delattr(kind, name)
        elif inspect.isfunction(member) or isinstance(member, staticmethod):
            overloads = api["methods"].get(name)
            if overloads is None and name == "__init__":
                continue  # cannot be constructed by a caller; the stand-in's own affair
            if overloads is None:
                delattr(kind, name)
                continue
            setattr(kind, name, _checked(f"{kind.__name__}.{name}", member, overloads, before))

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if type(self) is kind and not name.startswith("_"):
            raise Misuse(f"{kind.__name__}.{name} is set: the stand-in has nothing that can be set")
        object.__setattr__(self, name, value)

    kind.__setattr__ = set_attribute  # type: ignore[assignment]
    return kind


def checked_function(name: str, function: Callable, overloads: list, before: Callable) -> Callable:
    return _checked(name, staticmethod(function), overloads, before)


def _checked(name: str, member: Any, overloads: list, before: Callable) -> Any:
    static = isinstance(member, staticmethod)
    function = member.__func__ if static else member

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        given = arguments if static else arguments[1:]
        returns = next((one["returns"] for one in overloads if _fits(one["parameters"], given, named)), "no such call")
        if returns == "no such call":
            raise Misuse(f"{name} cannot be called with {[*map(type, given)]} and {[*named]}; it takes {overloads}")
        return before(name, returns, lambda: function(*arguments, **named))

    return staticmethod(call) if static else call


def _fits(parameters: list, given: tuple, named: dict) -> bool:
    """Whether arguments fit the parameters: triples of name, type and default."""
    if len(given) > len(parameters):
        return False
    values = dict(zip(range(len(given)), given, strict=True))
    for at, (name, _, default) in enumerate(parameters):
        if name in named:
            if at in values:
                return False
            values[at] = named[name]
        elif at not in values and default is None:
            return False
    if set(named) - {name for name, _, _ in parameters}:
        return False
    return all(_is_a(values[at], parameters[at][1]) for at in values)


def _is_a(value: Any, kind: str | None) -> bool:
    if kind in ("typing.SupportsInt", "int"):
        return hasattr(value, "__int__")
    if kind == "typing_extensions.Buffer":
        return isinstance(value, (bytes, bytearray, memoryview))
    builtin = {"str": str, "tuple": tuple, "list": list, "bool": bool}
    if kind in builtin:
        return isinstance(value, builtin[kind])
    if kind and kind.startswith("tensorrt."):
        return kind.removeprefix("tensorrt.") in {one.__qualname__ for one in type(value).__mro__}
    return True
