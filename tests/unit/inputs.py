"""Find the stored inputs of a rule, in its own folder and in those of other rules."""

import shutil
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent


def stored_inputs(rule: str) -> dict[str, Path]:
    """Return where each input of a rule is stored, by its path in a run."""
    own = FOLDER / rule / "data"
    found = {path.relative_to(own).as_posix(): path for path in own.rglob("*") if path.is_file()}
    elsewhere: dict[str, dict[str, list[str] | dict[str, str]]] = yaml.safe_load((FOLDER / "inputs.yaml").read_text())
    for folder, paths in elsewhere.get(rule, {}).items():
        for path in paths:
            if path in found:
                raise ValueError(f"{rule} has {path} twice: in {found[path]} and, by inputs.yaml, in {folder}")
            found[path] = FOLDER / folder / (paths[path] if isinstance(paths, dict) else path)
    return found


def copy_inputs(rule: str, work: Path) -> None:
    """Copy the inputs of a rule into the folder of a run."""
    for path, stored in stored_inputs(rule).items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(stored, target)
