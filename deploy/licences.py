"""Write what an environment contains as an SBOM (CycloneDX), and compare its licences with those that are allowed.

python -m deploy.licences PYTHON sbom.json [FOLDER ...]

PYTHON is the environment's interpreter; each FOLDER holds packages that were installed with pip's `--target` for it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from uv import find_uv_bin

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"
LOCK = Path(__file__).parents[1] / "requirements-sbom.lock"
# SPDX identifiers, and "BSD", as older packages name no variant.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0",
    "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
}  # fmt: skip
# What else packages call these.
NAMES = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}


def write_sbom(python: Path, path: Path, folders: list[Path], *, validate: bool = True) -> None:
    """Write the SBOM of an environment; checking it against CycloneDX' schema takes half a minute.

    Raises:
        CalledProcessError: the tool failed, and printed why.
    """
    options = ["--output-reproducible", "--validate" if validate else "--no-validate", "--output-format", "JSON"]
    places = os.pathsep.join(map(str, folders))
    with tempfile.TemporaryDirectory() as folder:
        tool = Path(folder) / "bin" / "python"
        _uv("venv", folder)
        _uv("pip", "install", "--require-hashes", "--python", str(tool), "--requirements", str(LOCK))
        command = [str(tool), "-m", "cyclonedx_py", "environment", *options, "--output-file", str(path), str(python)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": places}, check=True)


def _uv(*arguments: str) -> None:
    subprocess.run([find_uv_bin(), "--quiet", "--no-config", *arguments], check=True)


def named(component: dict[str, Any]) -> list[str]:
    """Return the licences that a component names, each of which applies or may be chosen; none if it names none."""
    found = []
    for entry in component.get("licenses") or []:
        licence = entry.get("license") or {}
        text = entry.get("expression") or licence.get("id") or licence.get("name") or "one without a name"
        short = text.removeprefix("License :: ").removeprefix("OSI Approved :: ")
        if short == "DFSG approved":  # says something of a licence, and names none
            continue
        found += [NAMES.get(part, part) for part in _parts(short)]
    return found


def _parts(expression: str) -> list[str]:
    if not re.search(r" (?:AND|OR) ", expression):
        return [expression]  # a name, which may have brackets of its own
    return [part for part in re.split(r"[ ()]+", expression) if part not in ("", "AND", "OR")]


def read_by_hand() -> dict[str, str]:
    """Return by name the licences of packages that do not name theirs, from the page."""
    return dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([A-Za-z0-9.-]+) \| read", PAGE.read_text(), re.MULTILINE))


def not_shipped() -> set[str]:
    """Return the packages that only tests use, whose licences need not allow distribution."""
    return set(re.findall(r"^\| `([a-z0-9-]+)` \| [^|]+\| tests alone", PAGE.read_text(), re.MULTILINE))


def plain_name(component: dict[str, Any]) -> str:
    """Return a component's name as package registries write it."""
    return re.sub(r"[-_.]+", "-", component["name"]).lower()


def refused(sbom: dict[str, Any]) -> list[str]:
    """Return a sentence for each component of an SBOM whose licence is not allowed or not known."""
    by_hand, exempt, wrong = read_by_hand(), not_shipped(), []
    for component in sbom.get("components") or []:
        name = plain_name(component)
        licences = [by_hand[name]] if name in by_hand else named(component)
        if name in exempt or (licences and set(licences) <= ALLOWED):
            continue
        listed = " and ".join(f"'{licence}'" for licence in licences) or "no licence"
        wrong.append(
            f"{component['name']} {component.get('version', '')}: names {listed}; expected one of "
            f"{', '.join(sorted(ALLOWED))}. Read its licence: if it allows to use and to hand on, add a row to "
            "docs/licences.md; else replace the package"
        )
    return wrong


def main(python: Path, path: Path, *folders: Path) -> None:
    """Write the SBOM; exit with what is wrong with the licences in it."""
    write_sbom(python, path, list(folders))
    wrong = refused(json.loads(path.read_text(encoding="utf-8")))
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
