"""The processes and files that get the token, in successful and failing runs; and names with special characters."""

import csv
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from scripts.lib.workflow.jobs import job_secrets
from tests.faults.site import Site, media_of_a_site, new_site
from tests.tator_server.launch import running

NAMES = (
    "../../../../tmp/traversal.mp4",
    "quotes ' \" ` and $(touch hacked) ; touch hacked & | > hacked {input} {wildcards.x} {{}} %s {0.__class__}.mp4",
    "line\nbreaks\r\nand\ttabs,in the,CSV\n1,2,3.mp4",
    "\x1b[2J\x1b]0;owned\x07 \x9b31m red \x7f\x08.mp4",
    '=cmd|"/C calc"!A0 </script><script>alert(1)</script>.mp4',
    "right-to-left \u202e4pm.exe 日本" + "n" * 5000 + ".mp4",
    "...",
)
RULE = re.compile(r"\.snakemake/scripts/\w+\.(\w+)\.py")
OTHER_SECRET = "other-than-the-token" * 2
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


@dataclass
class Watched:
    """The processes of a successful run, observed while it ran.

    Attributes:
        site: the site of the run.
        text: the terminal's output.
        lines: the command lines of all processes.
        jobs: the secrets in the environment of jobs at each observation, by rule.
        children: the secrets of children of jobs at the last observation, by rule and process id.
    """

    site: Site
    text: str = ""
    lines: set[str] = field(default_factory=set)
    jobs: dict[str, list[set[str]]] = field(default_factory=dict)
    children: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    def observe(self, tree: psutil.Process) -> None:
        """Record the processes of the run once."""
        for process in [tree, *tree.children(recursive=True)]:
            try:
                line = " ".join(process.cmdline())
                self.lines.add(line)
                [rule, *_] = RULE.findall(line) or [""]
                if rule and (names := variables(process)):
                    self.jobs.setdefault(rule, []).append(SECRETS & names)
                for child in process.children(recursive=True) if rule else ():
                    self.children[rule, child.pid] = SECRETS & variables(child)
            except (psutil.Error, OSError):  # it ended in the meantime
                continue


SECRETS = {"TATOR_AUTH_TOKEN", "TATOR_REGISTRY_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Yield the observed processes of a run that succeeded after failed downloads."""
    with new_site(tmp_path_factory.mktemp("watched")) as site:
        site.environ |= dict.fromkeys(SECRETS - {"TATOR_AUTH_TOKEN"}, OTHER_SECRET)
        site.server.fault("cut_download", after_bytes=1000)
        site.server.fault("expire_addresses", nth=3)
        run, seen = site.start("--verbose"), Watched(site)
        tree = psutil.Process(run.process.pid)
        while run.process.poll() is None:
            with suppress(psutil.Error):  # it ended in the meantime
                seen.observe(tree)
            time.sleep(0.002)
        assert run.wait() == 0, run.text
        seen.text = run.text
        yield seen


def variables(process: psutil.Process) -> set[str]:
    """Return the names of a process's variables; psutil would stop at a variable that was overwritten."""
    entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return {entry.partition(b"=")[0].decode(errors="replace") for entry in entries if entry}


def test_no_command_line_of_a_process_has_a_secret(watched):
    for rule in ("resolve_media", "download_media", "prepare_upload", "detect", "upload_detections", "mark_processed"):
        assert any(f"{rule}.py" in line for line in watched.lines), rule
    secrets = (watched.site.server.token, OTHER_SECRET)
    assert not [line for line in watched.lines if any(secret in line for secret in secrets)]


def test_each_job_of_a_run_has_only_the_secrets_of_its_rule(watched):
    """Also in /proc, and for children of jobs, after a job has cleared its initial environment."""
    rules = {"resolve_media", "detect", "upload_detections", "get_network", "make_report", "conclude"}
    assert rules <= watched.jobs.keys()
    # Each job starts with all secrets and removes some at once; afterwards it has no others.
    least = {rule: set.intersection(*found) for rule, found in watched.jobs.items()}
    assert least == {rule: SECRETS & job_secrets.USED.get(rule, frozenset()) for rule in watched.jobs}
    for rule, found in watched.jobs.items():
        assert found[-1] == least[rule], rule
    assert {rule for rule, _ in watched.children} >= {"detect", "get_network"}
    assert [(rule, found) for (rule, _), found in watched.children.items() if not found <= least[rule]] == []


def test_no_file_and_no_output_has_the_token_or_an_address(watched):
    """Also not in the report, although a download was interrupted."""
    status, text = watched.site.run("--report", str(watched.site.folder / "report.html"))
    assert status == 0, text
    assert watched.site.secrets_in(watched.text, text) == []


def test_no_file_is_writable_by_others(watched):
    written = [path for path in watched.site.folder.rglob("*") if not path.is_symlink()]
    assert watched.site.folder / "results" / "summary.json" in written
    assert [path for path in written if path.stat().st_mode & 0o002] == []


FAILURES = {
    "store": [("reset", {"operation": "Download", "times": None})],
    "tator": [("status", {"operation": "CreateLocalizationList", "status": 500, "times": None})],
    "html": [("html", {"operation": "GetDownloadInfo", "times": None})],
    "token": [("revoke_token", {"operation": "GetDownloadInfo"})],
    "connection": [("reset", {"operation": "UpdateMediaList", "times": None})],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failing_runs_write_no_secret(site, failure):
    for kind, settings in FAILURES[failure]:
        site.server.fault(kind, **settings)
    site.environ["TATOR_PATIENCE_SECONDS"] = "1"
    status, text = site.run("--verbose")
    assert status != 0, text
    assert site.secrets_in(text) == []


def test_the_umask_applies_to_all_files_of_a_run(site):
    """Users can keep boxes and media private with the umask, as for any program."""
    before = os.umask(0o077)
    try:
        site.run_ok()
    finally:
        os.umask(before)
    written = [path for folder in ("results", "resources", "logs") for path in (site.folder / folder).rglob("*")]
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_special_characters_in_names_have_no_effect_in_any_step(tmp_path):
    media_of_a_site(tmp_path / "media")
    picture = tmp_path / "media" / "picture.png"
    with running(tmp_path / "media", tmp_path / "state") as server:
        ids = [server.add_media(name, dtype="image", files={"image": [picture]}) for name in NAMES]
        junk = server.add_media(NAMES[3], dtype="image")
        site = Site(server, tmp_path / "run")
        site.settings["tator"]["media_ids"] = [*ids, junk]
        before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(site.folder)}
        status, text = site.run()
        report = site.run("--report", str(site.folder / "report.html"))
    # The media without a file is named, the others are done.
    assert status != 0
    assert re.search(rf"media {junk} \(.*\) is unsupported: ", text)
    assert "Traceback" not in text
    assert report[0] == 0, report[1]
    summary = json.loads((site.folder / "results" / "summary.json").read_text())
    assert [line["name"] for line in summary["media"]] == [*NAMES, NAMES[3]]
    assert {line["state"] for line in summary["media"]} == {"done", "unsupported"}

    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(site.folder)}
    assert {path for path in after - before if "terminal." not in path.name} == set()
    assert not list(tmp_path.rglob("hacked*"))
    for path, content in site.written(text, report[1]).items():
        if "/logs/" in path or "/log/" in path or "terminal" in path or path.endswith("summary.txt"):
            assert not CONTROL.search(content), path
    for line in text.splitlines():
        assert not line.startswith(("=cmd", "1,2,3"))
    assert b"<script>alert(1)" not in (site.folder / "report.html").read_bytes()

    with (site.folder / "results" / "detections.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert {len(row) for row in rows} == {8}
    assert {row[0].partition("_")[0] for row in rows[1:]} == {str(number) for number in ids}
