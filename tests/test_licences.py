"""What the image ships has licences that allow it, and docs/licences.md names the libraries inside of wheels."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

import pytest

from tests.workflow import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text()
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0",
    "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
# What packages call these; the page's table names the packages that say nothing, or something longer.
NAMES = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache License Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD",
    "FreeBSD": "BSD-2-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
READ_BY_HAND = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([A-Za-z0-9.-]+) \| read", PAGE, re.MULTILINE))


def _shipped() -> dict[str, Distribution]:
    """Return what the image's lock file names, of what is installed here, by name."""
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-kubernetes.lock").read_text(), re.MULTILINE))
    folders = [*(ROOT / ".venv").glob("lib/python3.*/site-packages"), ROOT / ".venv-clusters"]
    found = {}
    for one in distributions(path=[str(folder) for folder in folders]):
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        if name in locked:
            found[name] = one
    return found


def _licences(package: Distribution) -> list[str]:
    """Return the licences that a package names, each of which applies or may be chosen."""
    words = package.metadata
    expression = words.get("License-Expression") or words.get("License") or ""
    if expression and len(expression) < 80 and "\n" not in expression:
        named = re.split(r" (?:AND|OR|and|or) ", expression.strip("()"))
        if all(NAMES.get(name, name) in ALLOWED for name in named):
            return [NAMES.get(name, name) for name in named]
    kinds = [entry.split(" :: ")[-1] for entry in words.get_all("Classifier") or [] if entry.startswith("License ::")]
    return [NAMES.get(kind, kind) for kind in kinds] or [expression.strip() or "none named"]


def test_each_package_of_the_image_has_a_licence_that_is_allowed() -> None:
    shipped = _shipped()
    assert len(shipped) > 90
    wrong = {}
    for name, package in shipped.items():
        licences = [READ_BY_HAND[name]] if name in READ_BY_HAND else _licences(package)
        if not set(licences) <= ALLOWED:
            wrong[name] = licences
    assert wrong == {}, "read their licences, and add those that allow it to docs/licences.md"


def test_no_package_is_read_by_hand_that_is_not_shipped() -> None:
    assert READ_BY_HAND
    assert READ_BY_HAND.keys() <= _shipped().keys()


def _bundled() -> Iterator[tuple[str, str]]:
    """Yield the wheels' own folders of foreign libraries, and the name of each library in them."""
    for folder in (ROOT / ".venv").glob("lib/python3.*/site-packages/*.libs"):
        for path in sorted(folder.iterdir()):
            yield folder.name, re.sub(r"(-[0-9a-f]{8})*(\.[0-9.]+)?\.so.*", "", path.name)


def test_the_page_names_each_library_that_a_wheel_brings_along() -> None:
    found = list(_bundled())
    assert {"av.libs", "opencv_python_headless.libs"} <= {folder for folder, _ in found}
    assert sorted({f"{folder}: {name}" for folder, name in found if f"`{name}`" not in PAGE}) == []


@pytest.mark.parametrize(("library", "said"), [("libx264", "GPL"), ("libx265", "GPL"), ("libssl", "1.1.1k")])
def test_the_page_says_what_matters_of_them(library: str, said: str) -> None:
    assert library in {name for _, name in _bundled()}
    (row,) = [line for line in PAGE.splitlines() if f"`{library}`" in line and line.startswith("|")]
    assert said in row
