"""Files of TensorRT's packages from NVIDIA's index are compared with hashes that were recorded before."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.recorded_hashes import installed, main
from tests.workflow import ROOT

LIBRARY = "tensorrt_libs/libnvinfer.so.11"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder of packages: one of TensorRT's, as pip installs it, and one that is not checked."""
    folder = tmp_path / "site-packages"
    for name, file in (("tensorrt_cu12_libs", LIBRARY), ("numpy", "numpy/core.so")):
        info = folder / f"{name}-11.4.0.dist-info"
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_bytes(b"\x7fELF")
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 11.4.0\n")
        (info / "INSTALLER").write_text("pip\n")
        (folder / file).with_name("a.py").write_text("")
        package = name if name == "numpy" else "tensorrt_libs"
        listed = [file, f"{info.name}/METADATA", f"{info.name}/INSTALLER", f"{info.name}/RECORD", f"{package}/a.py"]
        listed.append(f"{package}/__pycache__/a.cpython-311.pyc")  # need not be there
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in listed))
    return folder


def test_recorded_files_are_accepted_and_others_refused(tmp_path: Path, site: Path) -> None:
    lock = tmp_path / "nvidia.lock"
    assert main(["--write", str(lock)], [str(site)]) is None
    assert re.fullmatch(r"#.*\n#.*\ntensorrt-cu12-libs==11\.4\.0 cp3\d+ \S+ sha256:[0-9a-f]{64}\n", lock.read_text())
    assert main([str(lock)], [str(site)]) is None
    (site / "tensorrt_cu12_libs-11.4.0.dist-info" / "INSTALLER").write_text("uv\n")
    assert main([str(lock)], [str(site)]) is None
    (site / LIBRARY).write_bytes(b"\x7fELG")
    message = main([str(lock)], [str(site)])
    assert message is not None
    assert "is not what was recorded" in message
    assert "expected sha256:" in message


@pytest.mark.parametrize("name", ["tensorrt_libs/hook.pyc", "tensorrt_libs/__pycache__/b.pyc", "tensorrt_libs/RECORD"])
def test_compiled_files_without_a_source_are_checked(tmp_path: Path, site: Path, name: str) -> None:
    """Python runs a compiled file that has no source."""
    lock = tmp_path / "nvidia.lock"
    assert main(["--write", str(lock)], [str(site)]) is None
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_bytes(b"code")
    record = site / "tensorrt_cu12_libs-11.4.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + f"{name},,\n")
    assert "is not what was recorded" in str(main([str(lock)], [str(site)]))


def test_a_package_that_is_not_in_the_lock_is_refused(tmp_path: Path, site: Path) -> None:
    lock = tmp_path / "nvidia.lock"
    lock.write_text("# of another version\ntensorrt-cu12-libs==10.1 cp311 linux-x86_64 sha256:" + "0" * 64 + "\n")
    assert "expected a line for it in the lock file" in str(main([str(lock)], [str(site)]))
    assert main(["--write", str(lock)], [str(site)]) is None
    assert len(lock.read_text().splitlines()) == 4  # the other line stays
    assert main([str(lock)], [str(site)]) is None


@pytest.mark.parametrize("content", [None, "# nothing yet\n"])
def test_without_recorded_hashes_the_installed_ones_are_reported(
    tmp_path: Path, site: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    lock = tmp_path / "nvidia.lock"
    if content:
        lock.write_text(content)
    assert main([str(lock)], [str(site)]) is None
    errors = capsys.readouterr().err
    assert "NOT HELD AGAINST ANY HASH" in errors
    (digest,) = installed([str(site)]).values()
    assert digest in errors


def test_nothing_installed_is_an_error(tmp_path: Path) -> None:
    assert "no package whose name begins with tensorrt" in str(main([str(tmp_path / "a")], [str(tmp_path)]))


def test_the_check_runs_without_the_workflow_and_in_the_image(tmp_path: Path, site: Path) -> None:
    script = ROOT / "deploy" / "recorded_hashes.py"
    run = f"import runpy, sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['a', {str(tmp_path / 'no.lock')!r}]; "
    command = [sys.executable, "-I", "-S", "-c", run + f"runpy.run_path({str(script)!r}, run_name='__main__')"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "NOT HELD AGAINST ANY HASH, as no.lock records none" in done.stderr
    docker = (ROOT / "deploy" / "Dockerfile").read_text()
    install, check = docker.index("-r /tmp/requirements.lock;"), docker.index("recorded_hashes.py /tmp/nvidia.lock; \\")
    assert install < check < docker.index("-r /tmp/requirements-pycuda.lock;")
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"!deploy/recorded_hashes.py", "!deploy/nvidia.lock"} <= set(ignored)


def test_ci_writes_the_sbom() -> None:
    assert re.search(r"^make .*\bsbom\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
