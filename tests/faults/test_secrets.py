"""Where the token goes, in good runs and in failing ones; and names that would like to be more than names."""

import csv
import json
import os
import re
import time
from pathlib import Path

import psutil
import pytest

from scripts.lib.workflow import job_secrets
from tests.faults.site import RUN_SECONDS, Site, media_of_a_site
from tests.faults.steps import until
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
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


def test_no_command_line_of_the_whole_tree_holds_the_token(site):
    run, lines = site.start("--verbose"), dict[int, str]()
    tree = psutil.Process(run.process.pid)

    def looked() -> bool:
        try:
            for process in [tree, *tree.children(recursive=True)]:
                lines[process.pid] = lines.get(process.pid, "") + " ".join(process.cmdline())
        except psutil.Error:  # it ended meanwhile
            pass
        return run.process.poll() is not None

    until(looked, RUN_SECONDS)
    assert run.wait() == 0, run.text
    for rule in ("resolve_media", "download_media", "prepare_upload", "detect", "upload_detections", "mark_processed"):
        assert any(f"{rule}.py" in line for line in lines.values()), rule
    assert not [line for line in lines.values() if site.server.token in line]


def variables(process: psutil.Process) -> set[str]:
    """Return the names of a process's variables; psutil takes one that was overwritten for the end of all."""
    entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return {entry.partition(b"=")[0].decode(errors="replace") for entry in entries if entry}


def test_each_job_of_a_run_has_only_the_secrets_of_its_rule(site):
    """What /proc shows of each, with their children, once it has dropped what it was started with."""
    secrets = {"TATOR_AUTH_TOKEN", "TATOR_REGISTRY_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"}
    site.environ |= dict.fromkeys(secrets - {"TATOR_AUTH_TOKEN"}, "x" * 40)
    run = site.start()
    seen: dict[str, list[set[str]]] = {}  # of the jobs themselves
    children: dict[tuple[str, int], set[str]] = {}  # the last of each, by the rule and its number

    def looked() -> bool:
        for job in run.jobs():
            try:
                [rule, *_] = RULE.findall(" ".join(job.cmdline())) or [""]
                if rule and (names := variables(job)):
                    seen.setdefault(rule, []).append(secrets & names)
                for child in job.children(recursive=True) if rule else ():
                    children[rule, child.pid] = secrets & variables(child)
            except (psutil.Error, OSError):  # it ended meanwhile
                continue
        return run.process.poll() is not None

    while not looked():
        time.sleep(0.002)
    assert run.wait() == 0, run.text
    assert {"resolve_media", "detect", "upload_detections", "get_network", "make_report", "conclude"} <= seen.keys()
    # Each starts with all and drops some in its first moments; after those nothing has more.
    least = {rule: set.intersection(*found) for rule, found in seen.items()}
    assert least == {rule: secrets & job_secrets.USED.get(rule, frozenset()) for rule in seen}
    for rule, found in seen.items():
        assert found[-1] == least[rule], rule
    assert {rule for rule, _ in children} >= {"detect", "get_network"}
    assert [(rule, found) for (rule, _), found in children.items() if not found <= least[rule]] == []


FAILURES = {
    "store": [("reset", {"operation": "Download", "times": None})],
    "tator": [("status", {"operation": "CreateLocalizationList", "status": 500, "times": None})],
    "html": [("html", {"operation": "GetDownloadInfo", "times": None})],
    "token": [("revoke_token", {"operation": "GetDownloadInfo"})],
    "connection": [("reset", {"operation": "UpdateMediaList", "times": None})],
}


@pytest.mark.parametrize("what", FAILURES)
def test_failing_runs_write_no_secret(site, what):
    for kind, settings in FAILURES[what]:
        site.server.fault(kind, **settings)
    site.environ["TATOR_PATIENCE_SECONDS"] = "1"
    status, text = site.run("--verbose")
    assert status != 0, text
    assert site.secrets_in(text) == []


def test_nothing_written_is_open_to_others(site):
    site.goes_well()
    open_to_all = [path for path in site.folder.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002]
    assert open_to_all == []


def test_the_workers_umask_holds_for_all_that_they_write(site):
    """Who wants to keep boxes and media private, says so as for any program."""
    before = os.umask(0o077)
    try:
        site.goes_well()
    finally:
        os.umask(before)
    mine = [path for folder in ("results", "resources", "logs") for path in (site.folder / folder).rglob("*")]
    assert [path for path in mine if path.stat().st_mode & 0o077] == []


def test_names_stay_names_through_the_whole_chain(tmp_path):
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
    # The one without a file is named, the others are done.
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
