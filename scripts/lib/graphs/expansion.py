"""How many operators a graph has once each call of a function is replaced by the function's own.

Programs that load a graph do that. Twenty functions that each call the next one twice become a million operators.
"""

from collections import Counter
from collections.abc import Hashable, Mapping

MOST_OPERATORS = 1_000_000


def problem(calls: Mapping[Hashable, Counter[Hashable]], sizes: Mapping[Hashable, int], main: Hashable) -> str | None:
    """Return what is wrong with how functions call each other, None where nothing is.

    Args:
        calls: of the graph and of each function, how often it calls which functions.
        sizes: how many nodes each has itself.
        main: the graph's key in both.
    """
    expanded: dict[Hashable, int] = {}
    open_now: set[Hashable] = set()
    todo = [*calls, main]  # of all: one that nothing calls may be called by a program's own pass
    while todo:
        key = todo[-1]
        if key in expanded:
            todo.pop()
            continue
        inner = [name for name in calls[key] if name in calls and name not in expanded]
        if not inner:
            todo.pop()
            open_now.discard(key)
            expanded[key] = sizes[key] + sum(expanded.get(name, 0) * count for name, count in calls[key].items())
            if expanded[key] > MOST_OPERATORS:
                return f"calls of functions that stand for more than {MOST_OPERATORS} operators"
            continue
        if key in open_now and open_now & set(inner):
            return "a function that calls itself"
        open_now.add(key)
        todo += inner
    return None
