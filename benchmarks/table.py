"""Print and return the results of a benchmark: each figure, its target, and their ratio."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.measure import cores

Figures = dict[str, Any]
# Targets such as `>= 0.85` by section, name and figure.
Targets = Mapping[tuple[str, str, str], str]


def measured_sections(bench: object, sections: Sequence[str], targets: Targets) -> dict[str, Any]:
    """Print the table of these sections, line by line; return the figures and the machine.

    Args:
        bench: an object with a method for each section, which yields names and their figures.
        sections: the sections to measure.
        targets: the targets of the figures.
    """
    results: dict[str, Any] = {"machine": _machine()}
    for section in sections:
        results[section] = {}
        for name, figures in getattr(bench, section)():
            results[section][name] = figures
            for line in _lines(section, name, figures, targets):
                print(line, flush=True)
    return results


def _lines(section: str, name: str, figures: Figures, targets: Targets) -> Iterator[str]:
    """Yield a line of the table for each figure, with its target and the figure's ratio to it."""
    for figure, value in figures.items():
        if isinstance(value, dict):
            words = "".join(f"{value[part]:10.3f}" for part in ("min", "median", "max"))
        else:
            words = f"{value:20.3f}" if isinstance(value, float) else f"{value:20}"
        target = targets.get((section, name, figure), "")
        ratio = f"{_middle(value) / float(target.split()[1]):8.2f}" if target else ""
        yield f"{section:11} {name:13} {figure:22}{words:30}  {target:8}{ratio}".rstrip()


def _middle(value: Any) -> float:
    return float(value["median"] if isinstance(value, dict) else value)


def _machine() -> dict[str, Any]:
    """Return the machine and the versions of packages."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    packages = ("snakemake", "tator", "openvino", "onnxruntime", "av", "opencv-python-headless")
    versions = {name: metadata.version(name) for name in packages}
    return {"processor": model, "cores": cores(), "python": platform.python_version(), **versions}
