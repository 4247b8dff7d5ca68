"""Compare the files from NVIDIA's index with hashes that were recorded before.

python deploy/recorded_hashes.py [--write] LOCK

TensorRT's packages on PyPI are sources that fetch NVIDIA's own when they are built: the hashes in requirements.lock
cover only the sources. So the installed files are compared with the file LOCK, unless that has no line yet. `--write`
makes the file from what is installed, on a machine that reaches NVIDIA's index. Only Python is needed: the image has
nothing else at that point.
"""

import argparse
import hashlib
import platform
import sys
from importlib.metadata import Distribution, PackagePath, distributions
from pathlib import Path

PACKAGES = "tensorrt"  # how their names begin
_HEAD = (
    "# What TensorRT's packages had fetched from NVIDIA's index, a line for each package, version and Python:\n"
    "# `make lock-nvidia` writes it where that index can be reached, and deploy/Dockerfile compares an image with it.\n"
)
# What an installation adds, which differs from one to the next.
_OWN = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}
_PIECE = 1 << 20


def installed(path: list[str]) -> dict[str, str]:
    """Return the SHA-256 of what each of the packages installed, by its name, version, Python and machine."""
    place = f"cp{sys.version_info.major}{sys.version_info.minor} {sys.platform}-{platform.machine()}"
    found = {}
    for package in distributions(path=path):
        name = package.metadata["Name"].lower().replace("_", "-")
        if name.startswith(PACKAGES):
            found[f"{name}=={package.version} {place}"] = _digest(package)
    return dict(sorted(found.items()))


def _digest(package: Distribution) -> str:
    if package.files is None:
        sys.exit(f"{package.metadata['Name']}: has no list of its files (RECORD); install it with pip")
    names = set(map(str, package.files))
    whole = hashlib.sha256()
    for file in sorted(package.files, key=str):
        if (file.name in _OWN and file.parent.suffix == ".dist-info") or _is_compiled(file, names):
            continue
        content = hashlib.sha256()
        with Path(str(file.locate())).open("rb") as stream:
            while piece := stream.read(_PIECE):
                content.update(piece)
        whole.update(f"{content.hexdigest()}  {file}\n".encode())
    return whole.hexdigest()


def _is_compiled(file: PackagePath, names: set[str]) -> bool:
    """Return whether pip compiled a file from a source of the package; one without a source is part of the package."""
    source = file.parent.parent / f"{file.name.partition('.')[0]}.py"
    return file.suffix == ".pyc" and file.parent.name == "__pycache__" and str(source) in names


def problems(found: dict[str, str], recorded: dict[str, str]) -> list[str]:
    """Return a sentence for each package that is not the recorded one, or of which none is recorded."""
    return [
        f"{name}: its files have sha256:{digest}; expected "
        + (f"sha256:{recorded[name]}, as recorded" if name in recorded else "a line for it in the lock file")
        for name, digest in found.items()
        if recorded.get(name) != digest
    ]


def main(arguments: list[str], path: list[str]) -> str | None:
    """Write or check; return what is wrong, or None."""
    parser = argparse.ArgumentParser(description="Hold TensorRT's installed packages against recorded hashes.")
    parser.add_argument("--write", action="store_true", help="write the file")
    parser.add_argument("lock", type=Path, metavar="LOCK")
    options = parser.parse_args(arguments)
    found = installed(path)
    if not found:
        return f"no package whose name begins with {PACKAGES} is installed; install tests/gpu/requirements.lock first"
    recorded = _read(options.lock)
    if options.write:
        recorded |= found
        options.lock.write_text(_HEAD + _lines(recorded))
    elif not recorded:
        sys.stderr.write(
            f"NOT HELD AGAINST ANY HASH, as {options.lock.name} records none: what NVIDIA's index gave is taken as it "
            f"is. `make lock-nvidia` records it:\n{_lines(found)}"
        )
    elif wrong := problems(found, recorded):
        return "what NVIDIA's index gave is not what was recorded (docs/security.md):\n" + "\n".join(wrong)
    return None


def _lines(hashes: dict[str, str]) -> str:
    return "".join(f"{name} sha256:{digest}\n" for name, digest in sorted(hashes.items()))


def _read(lock: Path) -> dict[str, str]:
    rows = lock.read_text().splitlines() if lock.is_file() else []
    return dict(row.rsplit(" sha256:", 1) for row in rows if row and not row.startswith("#"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.path))
