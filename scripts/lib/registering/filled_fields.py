"""Check the texts of a workflow that need a certain form, with the values of the parameters filled in.

Kubernetes, the driver and the storage plugin read them only after a launch: images, names of objects, and the store.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from scripts.lib.data_images.reference import Reference
from scripts.lib.errors import SettingsError
from scripts.lib.text.display_text import shown

TAG = re.compile(r"\{\{((?:(?!\{\{).)*?)\}\}", re.DOTALL)
_PARAMETER = "workflow.parameters."
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# As botocore, with which the driver and the storage plugin use the store.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
_REGION = re.compile(r"(?![0-9]+\Z)(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_IN_STORE = "s3://"


def filled(text: str, parameters: Mapping[str, str | None]) -> str:
    """Return a text with the values of the workflow's parameters; other tags, and unknown values, are kept."""

    def value(tag: re.Match[str]) -> str:
        found = parameters.get(_parameter(tag))
        return tag[0] if found is None else found

    return TAG.sub(value, text)


def problems(node: Any, place: str, parameters: Mapping[str, str | None]) -> Iterator[str]:
    """Yield a line for each text that has the wrong form; only the first of those with the same parameters.

    Args:
        node: the spec of a workflow, or a part of a pod's spec.
        place: its path, for the messages.
        parameters: the names of all parameters that a launch has, with the values that are known.
    """
    reported = set()
    for keys, where, text in _texts(node, (), place):
        value = filled(text, parameters)
        if not text or TAG.search(value):  # Argo's default, or known only at launch
            continue
        for ending, is_right, expected in _RULES:
            if keys[-len(ending) :] != ending or is_right(value):
                continue
            names = tuple(dict.fromkeys(_parameter(tag) for tag in TAG.finditer(text)))
            if not names:
                yield f"{where} is {shown(value)}; expected {expected}; correct the value"
            elif (names, expected) not in reported:
                reported.add((names, expected))
                options = ", ".join(f"--set {name}=..." for name in names)
                yield (
                    f"parameter {' and '.join(names)} gives {where} the value {shown(value)}; expected {expected}; "
                    f"give another with {options}"
                )


def _parameter(tag: re.Match[str]) -> str:
    """Return the name of the workflow's parameter that a tag has; empty for another tag."""
    before, _, name = tag[1].strip().partition(_PARAMETER)
    return "" if before else name


def _texts(node: Any, keys: tuple[str, ...], place: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the keys that lead to each text, without positions in lists, its path, and the text.

    A variable of a container has its name as a key, and an argument of a place in the store is its bucket.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, (*keys, str(key)), f"{place}.{key}")
    elif isinstance(node, list):
        for at, value in enumerate(node):
            name = value.get("name") if isinstance(value, dict) and keys[-1:] == ("env",) else None
            yield from _texts(value, (*keys, name) if name else keys, f"{place}.{name}" if name else f"{place}[{at}]")
    elif isinstance(node, str) and keys[-1:] == ("args",) and node.startswith(_IN_STORE):
        yield (*keys, _IN_STORE), place, node.removeprefix(_IN_STORE).partition("/")[0]
    elif isinstance(node, str):
        yield keys, place, node


def _is_image(text: str) -> bool:
    try:
        Reference.parse(text)
    except SettingsError:
        return False
    return True


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _is_name_or_empty(text: str) -> bool:
    return not text or _is_name(text)


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - the property raises the error
    except ValueError:
        return False
    return not text or (parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text))


def _is_region(text: str) -> bool:
    return not text or _REGION.fullmatch(text) is not None


def _is_bucket(text: str) -> bool:
    return _BUCKET.fullmatch(text) is not None


_IMAGE = "an image's name, [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], the name in lower case"
_OBJECT = "a name in Kubernetes: lower-case letters and digits, also with - or . between them, at most 253"
_OF_CONTAINERS = ("container", "containers", "initContainers", "script", "sidecars")
_OF_OBJECTS = ("configMap", "configMapKeyRef", "configMapRef", "secret", "secretKeyRef", "secretRef")
# The last keys of a text, the function that tells whether it has the right form, and what is expected.
_RULES: list[tuple[tuple[str, ...], Callable[[str], bool], str]] = [
    *(((kind, "image"), _is_image, _IMAGE) for kind in _OF_CONTAINERS),
    *(((kind, "name"), _is_name, _OBJECT) for kind in _OF_OBJECTS),
    (("secret", "secretName"), _is_name, _OBJECT),
    (("persistentVolumeClaim", "claimName"), _is_name, _OBJECT),
    # Empty is the default.
    (("imagePullSecrets", "name"), _is_name_or_empty, _OBJECT),
    (("priorityClassName",), _is_name_or_empty, _OBJECT),
    (("serviceAccountName",), _is_name_or_empty, _OBJECT),
    (("storageClassName",), _is_name_or_empty, _OBJECT),
    (
        ("env", "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", "value"),
        _is_endpoint,
        "http://HOST[:PORT] or https://HOST[:PORT], or nothing for AWS",
    ),
    (("env", "SNAKEMAKE_STORAGE_S3_REGION", "value"), _is_region, "a region's name, such as us-east-1"),
    (("args", _IN_STORE), _is_bucket, "a bucket's name: letters, digits, ., _ and -"),
]
