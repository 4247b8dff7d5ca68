"""Hash a script with the modules that it imports, so that a change in any of them makes its rule run again."""

import hashlib
import re
from functools import cache, cached_property
from pathlib import Path

# Import statements are found without parsing: each start of Snakemake reads all modules, and parsing takes ten times as
# long. A matching line of a docstring does no harm, nor does a word that is not a module.
_FROM = re.compile(
    r"^[ \t]*from[ \t]+(scripts[.\w]*)(?:[ \t]|\\\n)+import[ \t]*(\([^()]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE
)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+((?:[^\n\\]|\\\n)*)", re.MULTILINE)
_MODULE = re.compile(r"\bscripts[.\w]*")
_NAME = re.compile(r"\w+")


class Sources:
    """The workflow's Python files, each read once: most scripts run the same modules."""

    def __init__(self, root: Path) -> None:
        """Store the workflow's folder."""
        self._root = root
        self._digest = cache(_digest)
        self._templates = cache(_templates)
        self._imports = cache(self._find_imports)
        self._modules = cache(self._find_modules)

    def hash(self, script: str, unused: str | None = None) -> str:
        """Return a hash of `scripts/{script}.py`, all modules below `scripts` that it imports, and their templates.

        Args:
            script: the script's name.
            unused: a module, `detection/shared_job` for example, that the script imports only for other rules.
        """
        left_out = None if unused is None else self._root / "scripts" / "lib" / f"{unused}.py"
        if left_out is not None and not left_out.is_file():
            raise FileNotFoundError(f"{left_out}: expected a module of the script {script}")
        pending, seen = [self._root / "scripts" / f"{script}.py"], set[Path]()
        while pending:
            path = pending.pop()
            if path not in seen and path != left_out:
                seen.add(path)
                pending += self._imports(path)
        templates = {file for folder in {path.parent for path in seen} for file in self._templates(folder)}
        digest = hashlib.sha256()
        for path in sorted(seen | templates):
            digest.update(path.relative_to(self._root).as_posix().encode() + b"\0" + self._digest(path))
        return digest.hexdigest()[:16]

    def _find_imports(self, path: Path) -> set[Path]:
        text = path.read_text(encoding="utf-8")
        imports = _FROM.findall(text)
        # `from scripts.lib import files` names a module, `from scripts.lib.files import sha256` a function.
        found = {f"{module}.{name}" for module, names in imports for name in _NAME.findall(names)}
        found |= {module for module, _ in imports}
        found |= {module for names in _IMPORT.findall(text) for module in _MODULE.findall(names)}
        return {file for name in found for file in self._modules(name)}

    def _find_modules(self, name: str) -> list[Path]:
        """Return the module of this name, and its parent packages, since importing it runs them too."""
        parts = name.split(".")
        bases = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        files = [f"{base}{end}" for base in bases for end in (".py", "/__init__.py")]
        return [self._files[file] for file in files if file in self._files]

    @cached_property
    def _files(self) -> dict[str, Path]:
        """All Python files by their path from the root: one look for each imported name takes longer than this."""
        found = (self._root / "scripts").rglob("*.py")
        return {path.relative_to(self._root).as_posix(): path for path in found}


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _templates(folder: Path) -> list[Path]:
    return [file for kind in ("*.html", "*.css") for file in folder.glob(kind)]
