"""Store results of comparisons, and reuse them with the same code and versions."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.lib.workflow.planning.code_hash import Sources
from tests.exporters.families import NETWORKS

ROOT = Path(__file__).parents[2]
_STEPS = ("get_network", "detect")
_FILE = "result.json"
# Modules that do not affect a network's result; only its own entry of families.py does.
_IGNORED = ("families.py", "kept_results.py", "sahi_oracle.py", "tiles.py")
_VERSIONS = ("requirements.lock", "requirements-convert.lock", "tests/exporters/requirements.lock")


def state_of(name: str) -> str:
    """Return a hash of everything that a network's result depends on: code of steps and exporters, and versions."""
    modules = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.name not in _IGNORED]
    digest = hashlib.sha256(repr(NETWORKS[name]).encode())
    for step in _STEPS:
        digest.update(Sources(ROOT).hash(step).encode())
    for path in [*modules, *(ROOT / versions for versions in _VERSIONS)]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def kept(folder: Path, state: str) -> dict[str, Any] | None:
    """Return the result in a network's folder; None if there is none for this state."""
    path = folder / _FILE
    if not path.is_file():
        return None
    before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return before["result"] if before["state"] == state else None


def keep(folder: Path, state: str, result: Mapping[str, Any]) -> None:
    """Write the result of a network into its folder."""
    path = folder / _FILE
    path.with_suffix(".part").write_text(json.dumps({"state": state, "result": result}), encoding="utf-8")
    path.with_suffix(".part").replace(path)
