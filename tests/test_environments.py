"""The conda environments have each package that their rules' scripts import, also those imported in functions."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from scripts.lib.engines.table import ENGINES
from tests.workflow import ROOT

# Packages whose modules have another name.
PACKAGES = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "google": "protobuf",
    "prometheus_client": "prometheus-client",
    "dxf": "python-dxf",
    "backports": "backports-zstd",
    "tensorflow": "tensorflow-cpu",
    "tensorrt": "tensorrt-cu12",
    "urllib3": "requests",  # installed with it
    "markupsafe": "jinja2",  # installed with it
}
# Modules that an environment's rules import in functions of other engines only.
OF_OTHER_ENGINES = {"detect": {"onnx"}, "network": {"onnx"}, "quantize": {"onnx", "onnxruntime"}}
STANDARD = {*sys.stdlib_module_names, "compression"}  # the last one is in Python 3.14


def _scripts() -> dict[str, set[str]]:
    """Return the scripts that run in each environment."""
    found = defaultdict(set)
    of_engines = {kind.environment for kind in ENGINES.values()}
    for path in (ROOT / "rules").glob("*.smk"):
        for rule in re.split(r"^ *(?:rule|checkpoint)\b", path.read_text(), flags=re.MULTILINE):
            if script := re.search(r'"\.\./scripts/(\w+)\.py"', rule):
                named = re.search(r'"\.\./envs/(\w+)\.yaml"', rule)
                for environment in [named[1]] if named else of_engines:
                    found[environment].add(script[1])
    return found


SCRIPTS = _scripts()


def _statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the import statements below a node, without those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _statements(child)


@cache
def _imports(path: Path) -> set[str]:
    names = set()
    for statement in _statements(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        else:
            names |= {f"{statement.module}.{alias.name}" for alias in statement.names} | {statement.module}
    return names


def _modules(script: str) -> set[str]:
    """Return the top-level modules that a script and its own modules import."""
    found, pending, seen = set(), [f"scripts.{script}"], set()
    while pending:
        name = pending.pop()
        path = ROOT.joinpath(*name.split("."))
        if name.split(".")[0] != "scripts":
            found.add(name.split(".")[0])
        elif name not in seen:
            seen.add(name)
            pending.append(name.rpartition(".")[0] or "scripts")
            files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
            pending += {imported for file in files for imported in _imports(file)}
    return found


@pytest.mark.parametrize("environment", sorted(path.stem for path in (ROOT / "envs").iterdir()))
def test_each_environment_has_the_packages_of_its_scripts(environment):
    *others, pip = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"]
    has = {re.split(r"[ =]", package)[0] for package in [*others, *pip["pip"]]}
    assert SCRIPTS[environment]
    for script in SCRIPTS[environment]:
        modules = _modules(script) - STANDARD - OF_OTHER_ENGINES.get(environment, set())
        assert {PACKAGES.get(name, name) for name in modules} - has == set(), script
