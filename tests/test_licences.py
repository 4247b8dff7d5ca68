"""The licences of all that the image contains, and the libraries inside of wheels that docs/licences.md names."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.licences import ALLOWED, not_shipped, plain_name, read_by_hand, refused, write_sbom
from tests.needs import convert_python
from tests.workflow import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text()
IMAGE = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-kubernetes.lock").read_text(), re.MULTILINE))
# The first one has the packages of the image; the tests need the others.
ENVIRONMENTS = {".venv": [ROOT / ".venv-clusters"], ".venv-convert": []}


@pytest.fixture(scope="module")
def sboms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    convert_python()
    found = {}
    for name, folders in ENVIRONMENTS.items():
        path = tmp_path_factory.mktemp("sbom") / f"{name}.json"
        write_sbom(ROOT / name / "bin" / "python", path, folders, validate=False)
        found[name] = json.loads(path.read_text())
    return found


def _names(sbom: dict[str, Any]) -> set[str]:
    return {plain_name(component) for component in sbom["components"]}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_each_component_has_an_allowed_licence(sboms: dict[str, dict[str, Any]], name: str) -> None:
    assert refused(sboms[name]) == []


def test_the_sboms_have_the_packages_of_the_image(sboms: dict[str, dict[str, Any]]) -> None:
    """Except packages for other systems and other versions of Python."""
    here = _names(sboms[".venv"])
    assert len(IMAGE & here) > 90
    assert len(IMAGE - here) < 10, IMAGE - here
    assert {"snakemake-executor-plugin-kubernetes", "av", "openvino"} <= here
    assert {"tensorflow-cpu", "nncf"} <= _names(sboms[".venv-convert"])


def test_the_page_names_only_packages_of_the_image(sboms: dict[str, dict[str, Any]]) -> None:
    here = set().union(*map(_names, sboms.values()))
    assert read_by_hand()
    assert set(read_by_hand().values()) <= ALLOWED
    assert read_by_hand().keys() | not_shipped() <= here
    assert not not_shipped() & IMAGE


def test_the_page_names_additional_packages_of_the_gpu_image() -> None:
    names = re.findall(r"tests/gpu/\S+\.lock", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"))
    locks = "".join((ROOT / name).read_text() for name in names)
    besides = set(re.findall(r"^([a-z0-9-]+)==", locks, re.MULTILINE)) - IMAGE
    assert {"pycuda", "tensorrt-cu12", "nvidia-cuda-runtime-cu12"} <= besides
    (section,) = re.findall(r"^With `ENGINE=tensorrt`.*?^$", PAGE + "\n", re.MULTILINE | re.DOTALL)
    of_nvidia = {name for name in besides if name.startswith(("nvidia-", "tensorrt-"))}
    assert sorted(name for name in besides - of_nvidia if f"{name} (" not in section) == []
    assert "NVIDIA's own licences (proprietary" in section


@pytest.mark.parametrize(
    ("licences", "message"),
    [
        (None, "no licence"),
        ([], "no licence"),
        ([{"license": {"id": "AGPL-3.0-only"}}], "'AGPL-3.0-only'"),
        ([{"license": {"name": "License :: Other/Proprietary License"}}], "'Other/Proprietary License'"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "Commons Clause"}}], "'Commons Clause'"),
        ([{"expression": "MIT AND (GPL-3.0-or-later OR Apache-2.0)"}], "'GPL-3.0-or-later'"),
        ([{"license": {"text": {"content": "You may not."}}}], "'one without a name'"),
    ],
)
def test_another_licence_is_refused_with_the_remedy(licences: list[dict[str, Any]] | None, message: str) -> None:
    component = {"name": "Some_Package", "version": "1.2"} | ({} if licences is None else {"licenses": licences})
    (sentence,) = refused(
        {"components": [{"name": "fine", "licenses": [{"expression": "MIT OR Apache-2.0"}]}, component]}
    )
    assert sentence.startswith("Some_Package 1.2: names ")
    assert message in sentence
    assert "docs/licences.md" in sentence


def _bundled() -> Iterator[tuple[str, str]]:
    """Yield the folder of bundled libraries of each wheel, and the name of each library in it."""
    for folder in (ROOT / ".venv").glob("lib/python3.*/site-packages/*.libs"):
        for path in sorted(folder.iterdir()):
            yield folder.name, re.sub(r"(-[0-9a-f]{8})*(\.[0-9.]+)?\.so.*", "", path.name)


def test_the_page_names_each_library_in_wheels() -> None:
    found = list(_bundled())
    assert {"av.libs", "opencv_python_headless.libs"} <= {folder for folder, _ in found}
    assert sorted({f"{folder}: {name}" for folder, name in found if f"`{name}`" not in PAGE}) == []


@pytest.mark.parametrize(("library", "named"), [("libx264", "GPL"), ("libx265", "GPL"), ("libssl", "1.1.1k")])
def test_the_page_names_the_licences_of_libraries_in_wheels(library: str, named: str) -> None:
    assert library in {name for _, name in _bundled()}
    (row,) = [line for line in PAGE.splitlines() if f"`{library}`" in line and line.startswith("|")]
    assert named in row
