"""Scripts run as Snakemake runs them: arguments from the rule, output to the log, no secrets."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.lib.folder_source.listing import LeftOut, Listing
from scripts.lib.folder_source.run_listing import write_listing
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.jobs import job, sandbox
from tests.made_records import media_record

ROOT = Path(__file__).parents[4]

SCRIPT = """
import logging, os, sys
from pathlib import Path
from types import SimpleNamespace
from scripts.lib.workflow.jobs import job
from scripts.lib.errors import GraphError

class Named(dict):
    pass

def work(*, one: Path, many: list[Path], maybe: Path | None, number: int, threads: int, made: Path) -> None:
    logging.info("called with %s", (one, many, maybe, number, threads, made))
    print("from python")
    os.system("echo from a child")
    {body}

snakemake = SimpleNamespace(
    input=Named(one="a", many="b"), output=Named(made="c"), log=["{log}"], threads=3, rule="work", wildcards={{}},
    resources={{}}, config={{"detect": {{"batch_timeout_seconds": 900}}}},
    params=Named(number=4, maybe=None, code="f00"),
)
job.run(work, snakemake)
"""


def run(tmp_path, body, **environ):
    log = tmp_path / "logs" / "work.log"
    script = SCRIPT.format(body=body, log=log)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    return done, log.read_text()


def test_arguments_and_log(tmp_path):
    done, log = run(tmp_path, "job.tell_user('for the terminal')")
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == ("", "for the terminal\n")
    assert "(PosixPath('a'), [PosixPath('b')], None, 4, 3, PosixPath('c'))" in log
    assert "from python" in log
    assert "from a child" in log


def test_a_message_for_the_user_has_no_traceback(tmp_path):
    done, log = run(tmp_path, "raise GraphError('the graph x is odd; expected y')")
    assert done.returncode == 1
    assert "the graph x is odd; expected y" in log
    assert "Traceback" not in log


def test_an_error_of_the_disk_names_the_file_if_it_is_known(tmp_path):
    for arguments, place in (("", ""), (", '/data/a'", "/data/a: ")):
        done, log = run(tmp_path, f"raise OSError(5, 'Input/output error'{arguments})")
        assert done.returncode == 1
        assert f" ERROR {place}Input/output error; the disk fails; choose another folder with --directory" in log


@pytest.mark.parametrize("error", ["ValueError", "GraphError"])
def test_secrets_are_removed_from_errors(tmp_path, error):
    secret = "0123456789abcdef0123456789abcdef01234567"
    body = f"raise {error}('Token {secret} at http://s/x?Signature=abcdefgh')"
    done, log = run(tmp_path, body, TATOR_AUTH_TOKEN=secret)
    assert done.returncode == 1
    assert ("Traceback" in log) is (error == "ValueError")
    assert secret not in log
    assert "abcdefgh" not in log


@pytest.mark.parametrize("recorded", [True, False])
def test_an_interrupt_that_a_library_turned_into_another_error_is_no_failure(tmp_path, recorded):
    """As NumPy and OpenVINO do in their compiled parts if they are interrupted while they are imported."""
    body = (
        "import signal\n"
        "    try: os.kill(os.getpid(), signal.SIGINT); __import__('time').sleep(60)\n"
        "    except KeyboardInterrupt: raise ImportError('initialization failed') from None"
    )
    script = SCRIPT.format(body=body, log=tmp_path / "l")
    if recorded:
        failed = "lambda fault, **_: Path('recorded').touch()"
        script = script.replace("job.run(work, snakemake)", f"job.run(work, snakemake, record_failure={failed})")
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGINT
    assert not (tmp_path / "recorded").exists()
    assert "Traceback" not in done.stderr + (tmp_path / "l").read_text()


def test_missing_argument_is_an_error(tmp_path):
    script = SCRIPT.format(body="pass", log=tmp_path / "l").replace("number=4, ", "")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "number" in (tmp_path / "l").read_text()


def test_a_sandboxed_job_may_read_the_files_of_its_records(tmp_path, monkeypatch):
    """They may be links to places outside of the user's folder."""
    monkeypatch.chdir(tmp_path)
    write_listing(Path("listing"), Listing("/survey", [], LeftOut()))
    write_record(Path("7.json"), media_record(media_id=7, local={"path": "cam/a.jpg", "size": 1, "modified_ns": 1}))
    readable = list[Path]()

    def planned(_: str, paths: list[Path], *__: object) -> sandbox.Sandbox:
        readable.extend(paths)
        return sandbox.Sandbox((), None)

    monkeypatch.setattr(sandbox, "plan", planned)

    class Files(list):
        def items(self) -> list[tuple[str, str]]:
            return [("records", self[0])]

    params = {"listing": "listing"}
    job._plan_sandbox("auto", SimpleNamespace(input=Files(["7.json"]), output=[], params=params, log=["l"], rule="x"))
    assert readable == [Path("7.json"), Path("listing"), Path("/survey"), Path("/survey/cam/a.jpg")]


@dataclass(frozen=True)
class Place:
    folder: Path
    number: int


def test_a_dataclass_is_made_from_its_fields_and_an_optional_one_only_if_all_are_given():
    one = {"files": "a", "folder": "b", "number": 3}
    assert job.bind(wants, one) == {"files": [Path("a")], "place": Place(Path("b"), 3)}
    assert job.bind(wants, {"files": ["a", "c"]}) == {"files": [Path("a"), Path("c")]}
    assert job.bind(wants, {"files": "a", "number": 3}) == {"files": [Path("a")], "number": 3}  # the call refuses it
    with pytest.raises(KeyError, match="number"):
        job.bind(needs, {"folder": "b"})


def wants(*, files: list[Path] | None = None, place: Place | None = None) -> None:
    raise AssertionError


def needs(*, place: Place) -> None:
    raise AssertionError
