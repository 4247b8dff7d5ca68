"""Create dataclasses from JSON objects in the settings, checking each value against the type of its field."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from scripts.lib.errors import SettingsError


def create(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Return a dataclass with the values of a JSON object, after a check of their types.

    Args:
        kind: the dataclass; its fields may be dataclasses, literals, numbers, texts, lists of numbers or of literals.
        values: the JSON object.
        where: name of the object for errors.

    Raises:
        SettingsError: a key is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(values, Mapping):
        raise SettingsError(f"{where} is {values!r}; expected an object")
    hints, known = get_type_hints(kind), [field.name for field in fields(kind)]
    given = {}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"{where}.{key}: unknown key; expected {', '.join(known)}")
        given[key] = _checked(hints[key], value, f"{where}.{key}")
    try:
        return kind(**given)
    except TypeError as error:
        raise SettingsError(f"{where}: a key is missing ({error}); expected {', '.join(known)}") from error


def _checked(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        return create(kind, value, where)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise SettingsError(f"{where} is {value!r}; expected {' or '.join(map(str, get_args(kind)))}")
        return value
    parts = get_args(kind)
    if value is None and type(None) in parts:
        return None
    listed = next((part for part in (kind, *parts) if get_origin(part) is tuple), None)
    if listed is not None:
        kinds = get_args(listed)
        return (_checked_words if get_origin(kinds[0]) is Literal else _checked_numbers)(kinds, value, where)
    allowed = tuple(part for part in (parts or (kind,)) if part is not type(None))
    if float in allowed:
        allowed = (*allowed, int)
    # In Python a bool is an int.
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise SettingsError(f"{where} is {value!r}; expected {' or '.join(kind.__name__ for kind in allowed)}")
    return value


def _checked_words(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    words = get_args(kinds[0])
    if not isinstance(value, list | tuple) or any(word not in words for word in value):
        raise SettingsError(f"{where} is {value!r}; expected a list of {', '.join(words)}")
    return tuple(value)


def _checked_numbers(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    exact = None if kinds[-1] is Ellipsis else len(kinds)
    whole = kinds[0] is int
    is_valid = isinstance(value, list | tuple) and all(
        isinstance(one, int if whole else int | float) and not isinstance(one, bool) for one in value
    )
    if not is_valid or (exact is not None and len(value) != exact):
        expected = f"{'a list of' if exact is None else exact} {'whole ' if whole else ''}numbers"
        raise SettingsError(f"{where} is {value!r}; expected {expected}")
    return tuple(value)
