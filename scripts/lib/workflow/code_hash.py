"""Hash a script's own modules, so that a change in any of them makes its rule run again."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def sources_hash(root: Path, script: str, unused: str | None = None) -> str:
    """Return a hash of `scripts/{script}.py`, all it imports below `scripts`, and the templates beside these.

    Args:
        root: the workflow's folder.
        script: its name.
        unused: a module, `detection/shared_job` for example, that the script imports for other rules than this one.
    """
    left_out = None if unused is None else root / "scripts" / "lib" / f"{unused}.py"
    if left_out is not None and not left_out.is_file():
        raise FileNotFoundError(f"{left_out}: expected a module of the script {script}")
    pending, seen = [root / "scripts" / f"{script}.py"], set[Path]()
    while pending:
        path = pending.pop()
        if path not in seen and path != left_out:
            seen.add(path)
            pending += _imports(root, path)
    templates = {file for path in seen for kind in ("*.html", "*.css") for file in path.parent.glob(kind)}
    digest = hashlib.sha256()
    for path in sorted(seen | templates):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache  # most scripts run the same modules
def _imports(root: Path, path: Path) -> tuple[Path, ...]:
    return tuple(_imported(root, path))


def _imported(root: Path, path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "scripts":
            # `from scripts.lib import files` names a module, `from scripts.lib.files import sha256` a function in one.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "scripts"]
        else:
            continue
        for name in names:
            parts = name.split(".")
            # Importing a module runs the packages above it too.
            for depth in range(1, len(parts) + 1):
                base = root.joinpath(*parts[:depth])
                yield from (file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file())
