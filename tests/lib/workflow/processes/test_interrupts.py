"""Ctrl-C: processes of a run end without tracebacks, and Snakemake has time to stop its jobs and unlock its folder."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from scripts.lib.workflow.processes import interrupts
from tests.workflow import ROOT

INTERRUPTED = "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)"
SENTENCE = interrupts.SENTENCE


def of_a_run() -> dict[str, str]:
    environ = dict(os.environ)
    interrupts.add_startup_folder(environ)
    return environ


def ended(code: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_startup_folder_is_added_last_and_once():
    environ = {"PYTHONPATH": os.pathsep.join(["/site", "/plugins"])}
    interrupts.add_startup_folder(environ)
    interrupts.add_startup_folder(environ)
    folders = environ["PYTHONPATH"].split(os.pathsep)
    assert folders[:2] == ["/site", "/plugins"]
    assert [Path(folder).name for folder in folders[2:]] == ["startup"]


@pytest.mark.parametrize("copies", [1, 2])
def test_a_sites_own_file_of_that_name_is_run_too(tmp_path, copies):
    """Python imports only the first one; that of an environment comes after the folders of PYTHONPATH."""
    environment, copy = tmp_path / "environment", tmp_path / "processes" / "startup"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "sitecustomize.py").write_text("import os; os.environ['OF_THE_SITE'] = str(PART_OF_A_RUN)\n")
    startup = ROOT / "scripts" / "lib" / "workflow" / "processes" / "startup"
    shutil.copytree(startup, copy)
    code = "import os, signal; print(os.environ['OF_THE_SITE'], signal.getsignal(signal.SIGINT).name)"
    folders = [str(startup), str(copy)][:copies]
    environ, start = dict(os.environ, PYTHONPATH=os.pathsep.join(folders)), [environment / "bin" / "python", "-c", code]
    done = subprocess.run(start, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True SIG_DFL\n"


def test_a_file_of_that_name_in_the_current_folder_is_not_run(tmp_path):
    """An empty entry of PYTHONPATH would name the current folder."""
    (tmp_path / "sitecustomize.py").write_text("print('of the folder', flush=True)\n")
    environ = dict(os.environ, PYTHONPATH=os.pathsep)
    start = [sys.executable, "-c", "print('work')"]
    before = subprocess.run(start, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    interrupts.add_startup_folder(environ)
    done = subprocess.run(start, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (before.stdout, done.stdout) == ("of the folder\nwork\n", "work\n")


WORK = "from scripts.lib.workflow.processes import interrupts; interrupts.raise_interrupts()\n"


@pytest.mark.parametrize("first", ["", "import scripts; "])
def test_an_interrupted_process_of_a_run_prints_nothing(first):
    """The run prints what to do, once, however many jobs are interrupted."""
    done = ended(first + INTERRUPTED, of_a_run())
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_an_interrupt_during_work_runs_clean_up_code():
    done = ended(f"{WORK}try:\n  {INTERRUPTED}\nfinally:\n  print('cleaned up', flush=True)", of_a_run())
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "cleaned up\n", "")


def test_an_interrupt_is_delayed_while_an_event_loop_is_created():
    """A partly created event loop prints a traceback when it is deleted."""
    interrupting = """
import asyncio, os, signal, socket, time
pair = socket.socketpair
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    return pair()
socket.socketpair = interrupted
asyncio.run(asyncio.sleep(60))
"""
    done = ended(WORK + interrupting, of_a_run())
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_an_interrupt_leaves_no_lock_of_threads_acquired():
    """Snakemake waits for a semaphore, in which it would leave a lock that its other threads wait for."""
    waiting = """
import os, signal, threading
class Lock:
    def __init__(self):
        self.lock = threading.Lock()
        self.acquire, self.release = self.lock.acquire, self.lock.release
    def __enter__(self):
        self.acquire()
        os.kill(os.getpid(), signal.SIGINT)
    def __exit__(self, *_):
        self.release()
semaphore, lock = threading.Semaphore(0), Lock()
semaphore._cond = threading.Condition(lock)
try:
    semaphore.acquire(timeout=30)
finally:
    print(lock.acquire(timeout=1))
"""
    done = ended(WORK + waiting, of_a_run())
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "True\n", "")


def test_an_interrupt_leaves_no_lock_of_a_log_acquired():
    logged = """
import logging, os, signal, sys, time
handler = logging.StreamHandler(sys.stdout)
acquire = handler.acquire
def interrupted():
    acquire()
    handler.acquire = acquire
    os.kill(os.getpid(), signal.SIGINT)
handler.acquire = interrupted
try:
    handler.handle(logging.LogRecord("", 20, "", 0, "written", (), None))
    time.sleep(30)
finally:
    import threading
    handled = threading.Thread(target=handler.handle, args=[logging.LogRecord("", 20, "", 0, "again", (), None)])
    handled.daemon = True
    handled.start()
    handled.join(1)
"""
    done = ended(WORK + logged, of_a_run())
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "written\nagain\n", "")


def test_an_ignored_interrupt_stays_ignored():
    """As in a shell's background job."""
    code = WORK + "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('on')"
    start = ["sh", "-c", f"trap '' INT; exec {sys.executable} -c \"$0\"", code]
    done = subprocess.run(start, env=of_a_run(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")


# As NumPy does in its compiled parts if it is interrupted while it is imported.
ODD_NUMPY = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    raise ImportError("PyCapsule_Import could not import module") from None
"""


@pytest.mark.parametrize(
    ("arguments", "message"), [(["-c", "import numpy"], ""), (["-m", "scripts.commands.compare_runs"], SENTENCE)]
)
def test_an_interrupt_during_the_first_imports_is_no_other_error(tmp_path, arguments, message):
    (tmp_path / "numpy.py").write_text(ODD_NUMPY)
    environ = dict(os.environ, PYTHONPATH=str(tmp_path))
    if not message:
        interrupts.add_startup_folder(environ)
    done = subprocess.run(
        [sys.executable, *arguments], env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, message)


@pytest.mark.parametrize("in_a_run", [True, False])
def test_an_interrupt_during_later_imports_is_no_other_error(tmp_path, in_a_run):
    (tmp_path / "numpy.py").write_text(ODD_NUMPY)
    environ = dict(os.environ, PYTHONPATH=str(tmp_path))
    if in_a_run:
        interrupts.add_startup_folder(environ)
    done = ended(f"{WORK}import numpy", environ)
    assert done.returncode == 1
    assert done.stderr == ("" if in_a_run else SENTENCE)


@pytest.mark.parametrize("in_a_run", [True, False])
def test_an_interrupt_while_python_ends_is_silent(in_a_run):
    code = "import scripts\nclass Late:\n  def __del__(self): raise KeyboardInterrupt\nlate = Late(); del late"
    done = ended(code, of_a_run() if in_a_run else dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("first", ["", "import scripts; "])
def test_other_exceptions_have_their_traceback(first):
    late = "\nclass Late:\n  def __del__(self): raise ValueError('ignored')\nlate = Late(); del late\n"
    done = ended(first + late + "raise ValueError('of the job')", of_a_run())
    assert "ValueError: ignored" in done.stderr
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ValueError: of the job\n")


def command(program: str, first: str = "") -> "subprocess.Popen[str]":
    """Start a process in a separate group, as at a terminal, that runs a program to its end; wait for its `ready`."""
    code = f"import sys; from scripts.lib.workflow.processes import interrupts; import os\n{first}"
    code += f"sys.exit(interrupts.run_to_its_end([sys.executable, '-c', {program!r}], os.environ))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    assert process.stdout.readline() == "ready\n"
    return process


# It sleeps in short steps, as Python handles a signal that arrives just before a blocking call only after the call.
SLOW = (
    f"{WORK}import time\ntry:\n  print('ready', flush=True)\n  for _ in range(600): time.sleep(0.1)\n"
    "except KeyboardInterrupt:\n  time.sleep(0.6); print('unlocked', flush=True); raise SystemExit(1)"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_run_has_as_much_time_to_stop_as_it_needs(number):
    """A run that is killed leaves its folder locked, and subprocess.run waits only a quarter of a second."""
    process = command(SLOW)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("unlocked\n", "", 130)


def test_a_signal_that_does_not_end_the_wait_is_passed_on():
    """As one that arrives just before the wait: here another thread takes it."""
    first = (
        "import signal, threading\n"
        "def take(): sys.stdin.readline(); signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "threading.Thread(target=take).start()\n"
    )
    process = command(SLOW, first)
    out, err = process.communicate("\n", timeout=60)
    assert (out, err, process.returncode) == ("unlocked\n", "", 130)


def test_a_message_is_printed_if_an_interrupt_ends_the_run_at_once():
    process = command("import time; print('ready', flush=True); time.sleep(60)")
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C at a terminal
    assert process.communicate(timeout=60) == ("", SENTENCE)
    assert process.returncode == 130


def test_the_exit_code_is_that_of_the_run(tmp_path):
    program = [sys.executable, "-c", "import os, sys; sys.exit(len(os.listdir()))"]
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert interrupts.run_to_its_end(program, os.environ, tmp_path) == 2


JOB = """
import os, sys, time
sys.path.insert(0, {root!r})
from scripts.lib.workflow.jobs import supervision
supervision.begin()
os.write(1, f"{{os.getppid()}}\\n".encode())
time.sleep(60)
"""


def blocked_signals(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.partition("SigBlk:")[2].split()[0], 16)


@pytest.mark.parametrize("pause", [0, 0.005, 0.01, 0.02, 0.03])
def test_an_interrupted_supervisor_that_is_starting_prints_no_traceback(tmp_path, pause):
    script = tmp_path / "job.py"
    script.write_text(JOB.format(root=str(ROOT)))
    job = subprocess.Popen(
        [sys.executable, str(script)],
        env=of_a_run(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stdout is not None
    assert int(job.stdout.readline()) == job.pid
    time.sleep(pause)
    os.killpg(job.pid, signal.SIGINT)
    assert job.communicate(timeout=60) == ("", "")
    assert job.returncode == -signal.SIGINT


def test_no_signal_stays_blocked_in_a_worker(tmp_path):
    """The supervisor waits for blocked signals; its workers, also one that is started again, must not inherit that."""
    script = tmp_path / "job.py"
    script.write_text(JOB.format(root=str(ROOT)))
    job = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    for _ in range(2):
        job.stdout.readline()
        worker = int(Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text())
        assert blocked_signals(worker) == 0
        os.kill(worker, signal.SIGKILL)
    job.stdout.readline()
    job.terminate()
    job.communicate(timeout=60)
    assert job.returncode == -signal.SIGTERM


@pytest.mark.parametrize("milliseconds", range(0, 40, 2))
def test_an_interrupt_while_python_starts_leaves_no_traceback(capfd, milliseconds):
    run = interrupts._start([sys.executable, "-c", "import time; time.sleep(60)"], of_a_run(), None)
    time.sleep(milliseconds / 1000)
    interrupts._interrupt(run)
    assert run.wait(60) == -signal.SIGINT
    assert capfd.readouterr().err == ""


# Snakemake starts the process of a job in a thread, with bash.
STARTED_IN_A_THREAD = f"""{WORK}
import os, signal, subprocess, sys, threading, time
interrupts.add_startup_folder(os.environ)
interrupts.block_while_jobs_start()
def start():
    for milliseconds in range(0, 40, 2):
        command = sys.executable + " -c 'import time; time.sleep(5)'"
        process = subprocess.Popen('set -euo pipefail; ' + command, shell=True, executable='/bin/bash', process_group=0)
        time.sleep(milliseconds / 1000)
        os.killpg(process.pid, signal.SIGINT)
        print(process.wait(), flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGINT)
"""


def test_an_interrupt_while_a_job_starts_leaves_no_traceback():
    done = ended(STARTED_IN_A_THREAD, dict(os.environ))
    assert (done.stdout.split(), done.stderr) == ([str(-signal.SIGINT)] * 20, SENTENCE)
    assert done.returncode == -signal.SIGINT
