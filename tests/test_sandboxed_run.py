"""Whole runs in a sandbox: they work, write only into their folder, and reach only the named host."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.lib.workflow.jobs import sandbox
from tests.needs import lacking
from tests.onnx_graph import write_onnx
from tests.test_end_to_end import Site
from tests.workflow import ROOT, command_line, environment

SCRIPT = ROOT / "deploy" / "run_sandboxed.py"

# What hostile code would try from inside.
TRIES = """
import json, os, socket, sys
found = {"written": [], "reached": [], "processes": 0}
for path in json.loads(sys.argv[1]):
    try:
        open(path, "a").close()
        found["written"].append(path)
    except OSError:
        pass
for place in json.loads(sys.argv[2]):
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(5)
        try:
            client.connect(place if isinstance(place, str) else tuple(place))
            client.sendall(b"?")
            if client.recv(1):
                found["reached"].append(place)
        except OSError:
            pass
for name in os.listdir("/proc"):
    if name.isdigit():
        with open(f"/proc/{name}/environ", "rb") as stream:
            found["processes"] += b"OTHER_MARK" in stream.read()
print(json.dumps(found))
"""


pytestmark = pytest.mark.sandbox


@pytest.fixture(autouse=True)
def usable() -> None:
    reason = sandbox.plan("auto", [], [], {}).missing
    if reason:
        lacking(f"bubblewrap: {reason}")


def sandboxed(folder: Path, *command: str, allow: tuple[str, ...] = (), read: tuple[Path, ...] = ()) -> list[str]:
    arguments = [sys.executable, str(SCRIPT), "--directory", str(folder)]
    arguments += [word for host in allow for word in ("--allow", host)]
    arguments += [word for path in read for word in ("--read", str(path))]
    return [*arguments, "--", *command]


def test_a_run_in_the_sandbox(tator_server, tmp_path):
    site = Site(tator_server, tmp_path / "run")
    network = tmp_path / "network"
    network.mkdir()
    write_onnx(network / "graph.onnx")
    (network / "train.ini").write_text("[Data]\nSpecies=cod,flatfish,crab\n")
    site.settings["tator"]["media_ids"] = [1]
    site.settings["network"] = {"directory": str(network), "graph": "graph.onnx"}
    command = command_line(site.folder, settings=site.settings)
    named = tuple(urlsplit(origin).netloc for origin in (tator_server.host, tator_server.store))
    done = subprocess.run(
        sandboxed(site.folder, *command, allow=named, read=(network,)),
        cwd=site.folder,
        env=environment({"TATOR_AUTH_TOKEN": tator_server.token, "TATOR_PATIENCE_SECONDS": "10"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [state] = site.states().values()
    assert state in {"done", "no detections"}
    assert (site.folder / "results" / "overview.html").exists()


def test_the_sandbox_limits_files_hosts_and_processes(tmp_path):
    run, home = tmp_path / "run", tmp_path / "home"
    run.mkdir()
    home.mkdir()
    paths = [str(run / "own"), str(ROOT / "module.py"), str(tmp_path / "above"), "/usr/local/lib/x.py", "/etc/x"]
    with (
        socket.create_server(("127.0.0.1", 0)) as named,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.socket(socket.AF_UNIX) as local,
        subprocess.Popen(["sleep", "60"], env={**os.environ, "OTHER_MARK": "1"}) as process,
    ):
        local.bind(str(tmp_path / "socket"))
        local.listen()
        places = [list(named.getsockname()), list(other.getsockname()), str(tmp_path / "socket")]
        command = [sys.executable, "-c", TRIES, json.dumps(paths), json.dumps(places)]
        host = f"127.0.0.1:{named.getsockname()[1]}"
        started = subprocess.Popen(sandboxed(run, *command, allow=(host,)), stdout=subprocess.PIPE, text=True)
        client, _ = named.accept()
        with client:
            client.sendall(client.recv(1))
            output, _ = started.communicate(timeout=60)
        process.kill()
    # The sandbox has its own /tmp, which is deleted with it.
    written = [str(run / "own"), str(tmp_path / "above")]
    assert json.loads(output) == {"written": written, "reached": [places[0]], "processes": 0}
    assert started.returncode == 0
    assert not any(Path(path).exists() for path in paths[1:])


def test_a_named_host_keeps_its_name_and_port(tmp_path):
    """Also with the port of HTTPS, which only root may listen on."""
    program = "import socket; print(*{entry[4] for entry in socket.getaddrinfo('tator.invalid', 443, socket.AF_INET)})"
    program += "; socket.create_connection(('tator.invalid', 443)).close()"
    command = sandboxed(tmp_path, sys.executable, "-c", program, allow=("tator.invalid:443", "tator.invalid:80"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("('127.0.1.")


def test_a_signal_is_passed_to_the_command(tmp_path):
    script = "trap 'echo stopped > stopped; exit 7' TERM; touch ready; sleep 60 & wait"
    with subprocess.Popen(sandboxed(tmp_path, "sh", "-c", script), cwd=tmp_path) as started:
        deadline = time.monotonic() + 30
        while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 7
    assert (tmp_path / "stopped").exists()


# Notes each signal, and takes a second to clean up.
SLOW_TO_END = """
import signal, sys, time
from pathlib import Path
def end(number, _):
    with open("got", "a") as stream:
        stream.write(f"signal {number}, ")
    time.sleep(1)
    with open("got", "a") as stream:
        stream.write("cleaned up")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
Path("got").write_text("started, ")
time.sleep(60)
"""


def test_ctrl_c_in_a_terminal_lets_the_command_end_in_order(tmp_path):
    """The terminal sends the signal to the whole group of processes."""
    command = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{SLOW_TO_END}"]
    terminal, inside = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--directory", str(tmp_path), "--", *command],
        preexec_fn=lambda: os.login_tty(inside),  # noqa: PLW1509
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "got").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.write(terminal, b"\x03")
        assert started.wait(30) == 3
    finally:
        started.kill()
        os.close(terminal)
        os.close(inside)
    assert (tmp_path / "got").read_text() == f"started, signal {signal.SIGTERM.value}, cleaned up"


@pytest.mark.parametrize("host", ["tator.example.org", "tator.example.org:https", "10.1.2.3:443", ":80"])
def test_an_invalid_host_is_one_clear_message(tmp_path, host):
    done = subprocess.run(sandboxed(tmp_path, "true", allow=(host,)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"--allow {host}: expected" in done.stderr
    assert "Traceback" not in done.stderr
