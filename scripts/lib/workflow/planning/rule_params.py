"""Give each rule a parameter with which Snakemake notices every change of its parameters.

Snakemake compares the parameters of a job as a set of values without their names. It overlooks a change if another
parameter of the rule has the old value and another one has the new value, as when `tiles` is changed from null to
`auto` while `device` is `auto` and `max_frames` is null. It also ignores the order of a list.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

# The parameter with the hash of the names and values of all other parameters of its rule.
NAME = "params_hash"
# Snakemake leaves out a parameter whose function takes one of these arguments, as its value follows from them.
_DERIVED_FROM = frozenset({"input", "output", "threads", "resources"})


def add_hashes(rules: Iterable[Any]) -> None:
    """Add the parameter NAME to each rule that has parameters.

    Args:
        rules: the rules of a Snakemake workflow, after all of its files were read.
    """
    for rule in rules:
        params = dict(rule.params.items())
        if params and NAME not in params:
            rule.set_params(**{NAME: hash_function(params)})


def hash_function(params: Mapping[str, Any]) -> Callable[[Any], str]:
    """Return a function for `params:`, which returns a hash of the names and values of these parameters.

    Args:
        params: values, or functions of a job's wildcards, by name.
    """
    compared = {name: value for name, value in sorted(params.items()) if not _is_derived(value)}

    def hash_of_params(wildcards: Any) -> str:
        values = {name: value(wildcards) if callable(value) else value for name, value in compared.items()}
        return blake2b(json.dumps(values, default=repr).encode(), digest_size=16).hexdigest()

    return hash_of_params


def _is_derived(value: Any) -> bool:
    return callable(value) and not _DERIVED_FROM.isdisjoint(inspect.signature(value).parameters)
