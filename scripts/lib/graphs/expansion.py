"""Count the operators of a graph in which each call of a function is replaced by the function's operators.

Programs that load a graph do this. Twenty functions that each call the next one twice become a million operators.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence

MOST_OPERATORS = 1_000_000
# The key of a function: in ONNX the domain, the name and the overload; in TensorFlow the name.
Key = tuple[Hashable, ...]
Calls = Counter[Key]
_RECURSION = "a function that calls itself"
_MAIN: Key = ()


def find_problem(main: Calls, functions: Sequence[tuple[Key, Calls]]) -> str | None:
    """Return a description of recursion or too many operators; None if there is no problem.

    Args:
        main: the calls of the main graph; an operator is a call whose key belongs to no function.
        functions: the key and the calls of each function; several functions may have the same key.
    """
    merged: dict[Key, Calls] = {_MAIN: main}
    for key, calls in functions:
        merged[key] = merged.get(key, Counter()) + calls
    if (found := _expand(merged, [*merged])) is not None:
        return found
    # Programs that ignore overloads, or domains, use one of several functions with the same name. A valid function may
    # seem to call itself then, which such a program refuses; the operators that it has copied by then are counted.
    for view in _views(main, functions):
        if _expand(view, [_MAIN]) == _too_many():
            return _too_many()
    return None


def _views(main: Calls, functions: Sequence[tuple[Key, Calls]]) -> Iterator[dict[Key, Calls]]:
    """Yield the functions for programs that use only a part of a key, and the first or the last function with it."""
    length = max((len(key) for key, _ in functions), default=0)
    for used in (slice(0, 2), slice(1, 2))[: length - 1]:
        for ordered in (functions, functions[::-1]):
            view: dict[Key, Calls] = {_MAIN: _shortened(main, used)}
            for key, calls in ordered:
                view.setdefault(key[used], _shortened(calls, used))
            yield view


def _shortened(calls: Calls, used: slice) -> Calls:
    short: Calls = Counter()
    for key, count in calls.items():
        short[key[used]] += count
    return short


def _expand(calls: Mapping[Key, Calls], todo: list[Key]) -> str | None:
    """Return a description of recursion or too many operators in the functions of `todo`; None if there is neither."""
    expanded: dict[Key, int] = {}
    open_now: set[Key] = set()
    recursion = None
    while todo:
        key = todo[-1]
        if key in expanded:
            todo.pop()
            continue
        open_now.add(key)
        inner = [name for name in calls[key] if name in calls and name not in expanded]
        if not open_now.isdisjoint(inner):
            recursion = _RECURSION
            inner = [name for name in inner if name not in open_now]
        if not inner:
            todo.pop()
            open_now.discard(key)
            expanded[key] = sum((expanded.get(name, 0) + 1) * count for name, count in calls[key].items())
            if expanded[key] > MOST_OPERATORS:
                return _too_many()
            continue
        todo += inner
    return recursion


def _too_many() -> str:
    return f"calls of functions that stand for more than {MOST_OPERATORS} operators"
