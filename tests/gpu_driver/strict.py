"""Check a stand-in's classes against the signatures of the real ones, and let a chosen call fail."""

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
    """The code under test made a call that is an error of the real library, perhaps an undetected one."""


def read_api(name: str, version: str) -> dict:
    return json.loads((API / f"{name}-{version}.json").read_text())


class Calls:
    """The calls made so far; the one at place `fail_at` fails.

    Attributes:
        names: names of the calls that can fail.
    """

    def __init__(self, fail_at: int | None = None) -> None:
        self.names: list[str] = []
        self._fail_at = fail_at

    def next_fails(self, name: str) -> bool:
        self.names.append(name)
        return len(self.names) - 1 == self._fail_at


def strict(kind: type, api: dict, before: Callable[[str, str, Callable[[], Any]], Any]) -> type:
    """Remove the members that the real class does not have, and check every call against the real signatures.

    Args:
        kind: class of the stand-in, with the name of the real class.
        api: the real class's methods and properties.
        before: makes a call; called with its name, the type that it returns by its signature, and the call.
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
                continue  # callers cannot construct it; only the stand-in does
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
        positional = arguments if static else arguments[1:]
        returns = next(
            (one["returns"] for one in overloads if _fits(one["parameters"], positional, named)), "no such call"
        )
        if returns == "no such call":
            raise Misuse(
                f"{name} cannot be called with {[*map(type, positional)]} and {[*named]}; it takes {overloads}"
            )
        return before(name, returns, lambda: function(*arguments, **named))

    return staticmethod(call) if static else call


def _fits(parameters: list, positional: tuple, named: dict) -> bool:
    """Return whether arguments fit the parameters: triples of name, type and default."""
    if len(positional) > len(parameters):
        return False
    values = dict(zip(range(len(positional)), positional, strict=True))
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
