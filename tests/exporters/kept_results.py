"""Results of comparisons that were made before, of the same code and versions: they are not made again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.lib.workflow.code_hash import Sources
from tests.exporters.families import NETWORKS

ROOT = Path(__file__).parents[2]
_STEPS = ("get_network", "detect")
_FILE = "result.json"
# They decide nothing of a network's result; of families.py its own entry does.
_ASIDE = ("families.py", "kept_results.py", "sahi_oracle.py", "tiles.py")
_VERSIONS = ("requirements.lock", "requirements-convert.lock", "tests/exporters/requirements.lock")


def state_of(name: str) -> str:
    """Return a hash of what the result of a network depends on: the steps' code, the exporters', and the versions."""
    modules = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.name not in _ASIDE]
    digest = hashlib.sha256(repr(NETWORKS[name]).encode())
    for step in _STEPS:
        digest.update(Sources(ROOT).hash(step).encode())
    for path in [*modules, *(ROOT / versions for versions in _VERSIONS)]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def kept(folder: Path, state: str) -> dict[str, Any] | None:
    """Return the result that is in a network's folder, None where there is none of this state."""
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
