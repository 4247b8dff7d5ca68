"""A job in a sandbox writes only to its outputs' folders, and has no network and no other processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.workflow.jobs import sandbox
from tests.needs import lacking
from tests.workflow import ROOT

# A job that tries what a hostile network would try, run as Snakemake runs one.
JOB = """
import json, os, socket
from pathlib import Path
from types import SimpleNamespace
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.jobs import sandbox

def convert_network(*, seen: Path, given: Path, outside: list[str], port: int, unix: str) -> None:
    found = {{"sandbox": sandbox.present(), "given": given.read_text(), "written": [], "processes": []}}
    for path in outside:
        try:
            Path(path).write_text("harm")
            found["written"].append(path)
        except OSError:
            pass
    for name, family, address in (("tcp", socket.AF_INET, ("127.0.0.1", port)), ("unix", socket.AF_UNIX, unix)):
        with socket.socket(family) as client:
            client.settimeout(5)
            try:
                client.connect(address)
                found[name] = "connected"
            except OSError as error:
                found[name] = str(error)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marked = b"{mark}" in (process / "environ").read_bytes()
        except OSError:
            marked = False
        found["processes"] += [process.name] * marked
    found["environ"] = sorted(os.environ)
    seen.write_text(json.dumps(found))

class Files(list):
    def items(self):
        return {{"given": self[0]}}.items() if self[0].endswith("given") else {{"seen": self[0]}}.items()

job.run(convert_network, SimpleNamespace(
    config={{"network": {{"sandbox": {mode!r}}}}}, input=Files([{given!r}]), output=Files([{seen!r}]),
    params={{"outside": {outside!r}, "port": {port}, "unix": {unix!r}}},
    log=[{log!r}], threads=1, resources={{}}, rule="convert_network"), sandboxed=True)
"""


def _usable() -> None:
    reason = sandbox.plan("auto", [], [], {}).missing
    if reason:
        lacking(f"bubblewrap: {reason}")


def _run(folder: Path, mode: str | bool, path: str | None = None) -> tuple[int, str, dict[str, Any], list[Path]]:
    """Run the job; return its exit status, its log, its findings, and the files outside that it tried to write."""
    run, home = folder / "run", folder / "home"
    for made in (run / "out", run / "logs", home):
        made.mkdir(parents=True)
    (run / "given").write_text("the graph")
    mark = f"OTHER_MARK_{os.getpid()}"  # differs in tests that run at the same time
    outside = [run / "module.py", run / "logs" / "other.log", home / "profile", folder / "above"]
    names = {**os.environ, "HOME": str(home), "TATOR_AUTH_TOKEN": "x" * 40, "PYTHONPATH": str(ROOT)}
    if path is not None:
        names["PATH"] = path
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as local,
        # An example of another process of the same user.
        subprocess.Popen(["sleep", "600"], env={**os.environ, mark: "1"}) as other,
    ):
        try:
            local.bind(str(folder / "socket"))
            local.listen()
            command = JOB.format(
                mark=mark, mode=mode, given=str(run / "given"),
                seen=str(run / "out" / "seen.json"), log=str(run / "logs" / "log"),
                outside=[str(path) for path in outside], port=server.getsockname()[1], unix=str(folder / "socket"),
            )  # fmt: skip
            done = subprocess.run([sys.executable, "-c", command], cwd=run, env=names, check=False)
        finally:
            other.kill()
    seen = run / "out" / "seen.json"
    found = json.loads(seen.read_text()) if seen.exists() else {}
    return done.returncode, (run / "logs" / "log").read_text(), found, outside


@pytest.mark.sandbox
@pytest.mark.parametrize("mode", ["auto", "require"])
def test_a_job_in_the_sandbox_reaches_nothing_but_its_outputs(mode: str, tmp_path: Path) -> None:
    _usable()
    status, log, found, outside = _run(tmp_path, mode)
    assert status == 0, log
    assert found["sandbox"] == "bubblewrap"
    assert found["given"] == "the graph"
    assert not [path for path in outside if path.exists()]
    assert found["tcp"] != "connected"
    assert found["unix"] != "connected"
    assert found["processes"] == []
    assert "TATOR_AUTH_TOKEN" not in found["environ"]
    assert "sandbox: bubblewrap" in log


@pytest.mark.sandbox
@pytest.mark.parametrize("inside", [True, False], ids=["in the run's folder", "elsewhere in the home"])
def test_links_in_a_home_have_the_same_targets_as_outside(inside: bool, tmp_path: Path, monkeypatch: Any) -> None:
    """An environment on another disk of the home, whose Python is a link to a link."""
    _usable()
    run, real = tmp_path / "run", tmp_path / "disk" / "venv"
    for folder in (run, tmp_path / "links", real / "bin"):
        folder.mkdir(parents=True)
    (tmp_path / "links" / "python3").symlink_to(sys.executable)
    (real / "bin" / "python").symlink_to(tmp_path / "links" / "python3")
    environment = (run if inside else tmp_path) / ".venv"
    environment.symlink_to(real)
    python = environment / "bin" / "python"
    monkeypatch.chdir(run)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(sys, "prefix", str(environment))
    assert sandbox.plan("require", [], [], os.environ).missing is None


def test_a_user_without_a_home_can_have_a_sandbox(monkeypatch: Any) -> None:
    def unknown(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert "--tmpfs" in sandbox.command("bwrap", [], [])


@pytest.mark.parametrize("mode", ["off", False])
def test_without_the_sandbox_the_same_job_reaches_everything(mode: str | bool, tmp_path: Path) -> None:
    """Shows that what the sandbox refuses is possible without it."""
    status, log, found, outside = _run(tmp_path, mode)
    assert status == 0, log
    assert found["sandbox"] == "none"
    assert all(path.exists() for path in outside)
    assert (found["tcp"], found["unix"]) == ("connected", "connected")
    assert len(found["processes"]) == 1
    assert "TATOR_AUTH_TOKEN" not in found["environ"]
    assert "sandbox: none (network.sandbox is off)" in log


@pytest.mark.parametrize("refusing", [False, True], ids=["not installed", "not allowed"])
def test_without_bubblewrap_the_log_has_a_warning_and_require_fails(refusing: bool, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    if refusing:
        program = empty / "bwrap"
        program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        program.chmod(0o755)
    reason = "No permissions to create new namespace" if refusing else "bwrap is not installed"
    status, log, found, _ = _run(tmp_path / "auto", "auto", str(empty))
    assert status == 0, log
    assert found["sandbox"] == "none"
    assert reason in log
    status, log, found, _ = _run(tmp_path / "require", "require", str(empty))
    assert status == 1
    assert not found
    assert "network.sandbox is require, but there is none: " in log
    assert reason in log


def test_the_variable_outside_of_a_sandbox_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sandbox.VARIABLE, "bubblewrap")
    status, log, found, _ = _run(tmp_path, "require")
    assert status == 1
    assert not found
    assert f"{sandbox.VARIABLE} is set outside of a sandbox" in log


def test_folders_that_are_not_hidden_are_read_only() -> None:
    """Such as the workflow's modules, if they are neither in a home nor in a temporary folder."""
    _usable()
    folder = next((path for path in (ROOT, Path("/opt"), Path("/srv")) if _is_visible(path)), None)
    if folder is None:
        lacking("bubblewrap: a folder that can be written and is not hidden")
        return
    target = folder / f".sandbox_test_{os.getpid()}"
    command = sandbox.command("bwrap", [], [])
    try:
        done = subprocess.run(
            [*command, "sh", "-c", f"echo harm > '{target}'"], check=False, capture_output=True, text=True
        )
        assert not target.exists()
        assert "Read-only file system" in done.stderr
    finally:
        target.unlink(missing_ok=True)


def _is_visible(path: Path) -> bool:
    return os.access(path, os.W_OK) and not any(path.is_relative_to(hidden) for hidden in sandbox._hidden())
