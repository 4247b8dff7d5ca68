"""Count the operators of a graph after each call of a function is replaced by the function's operators.

Programs that load a graph do this. Twenty functions that each call the next one twice become a million operators.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence

MOST_OPERATORS = 1_000_000
# What identifies a function: in ONNX the domain, the name and the overload; in TensorFlow the name.
Key = tuple[Hashable, ...]
Calls = Counter[Key]
_RECURSION = "a function that calls itself"
_MAIN: Key = ()


def problem(main: Calls, functions: Sequence[tuple[Key, Calls]]) -> str | None:
    """Return what is wrong with how functions call each other; None if nothing is.

    Args:
        main: the graph's nodes, each as a call: of an operator where no function has the key.
        functions: the key and the nodes of each function, also of several with one key.
    """
    together: dict[Key, Calls] = {_MAIN: main}
    for key, calls in functions:
        together[key] = together.get(key, Counter()) + calls
    if (what := _expand(together, [*together])) is not None:
        return what
    # Programs that know of no overloads, or of no domains, take one of several functions. There a sound function may
    # call itself, which ends such a program at once; what is counted is what it has copied by then.
    for view in _views(main, functions):
        if _expand(view, [_MAIN]) == _too_many():
            return _too_many()
    return None


def _views(main: Calls, functions: Sequence[tuple[Key, Calls]]) -> Iterator[dict[Key, Calls]]:
    """Yield which functions a program sees that knows less of a key, and takes the first or the last of one."""
    parts = max((len(key) for key, _ in functions), default=0)
    for known in (slice(0, 2), slice(1, 2))[: parts - 1]:
        for ordered in (functions, functions[::-1]):
            seen: dict[Key, Calls] = {_MAIN: _shortened(main, known)}
            for key, calls in ordered:
                seen.setdefault(key[known], _shortened(calls, known))
            yield seen


def _shortened(calls: Calls, known: slice) -> Calls:
    short: Calls = Counter()
    for key, count in calls.items():
        short[key[known]] += count
    return short


def _expand(calls: Mapping[Key, Calls], todo: list[Key]) -> str | None:
    """Return what is wrong with the functions of `todo` and those that they call."""
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
