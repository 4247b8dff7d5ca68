"""Failures of Tator or its store during a whole run: the run waits, or names the remedy, and then completes."""

import os
import re
import signal
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from scripts.lib.network_access import sessions
from tests.faults.site import Site, media_of_a_site
from tests.faults.steps import until
from tests.tator_server.launch import running

READS = ("GetMediaListById", "GetMediaTypeList", "GetLocalizationTypeList", "GetVersionList", "GetDownloadInfo")
WRITES = ("CreateVersion", "CreateLocalizationList", "UpdateMediaList")


def run_with_action(site, operation, action):
    """Start a run, and call `action` while the run's first request of an operation waits; return the run."""
    site.server.fault("slow", operation=operation, media=1, seconds=2)
    run = site.start()
    until(lambda: site.server.requests(operation) or run.process.poll() is not None)
    assert run.process.poll() is None, run.text
    action()
    return run


def test_temporary_faults_of_every_request(site, undisturbed):
    """Each request of the run gets each kind of temporary fault that it can have."""
    site.environ["TATOR_PATIENCE_SECONDS"] = "60"
    for operation in (*READS, *WRITES, "GetLocalizationList"):
        kinds = ["reset", "throttle", "drop_answer"]
        for nth, kind in enumerate(kinds, start=1):
            site.server.fault(kind, operation=operation, nth=nth)
    for operation, status in (("GetMediaListById", 500), ("GetLocalizationList", 502), ("UpdateMediaList", 503)):
        site.server.fault("status", operation=operation, nth=4, status=status)
    site.server.fault("html", operation="GetVersionList", nth=4)
    for kind in ("cut_download", "short_body", "wrong_bytes", "expire_addresses"):
        site.server.fault(kind, media=1)
    site.run_ok()
    state = site.state()
    assert (state.boxes, state.marked, state.results) == (undisturbed.boxes, undisturbed.marked, undisturbed.results)


def test_a_run_continues_after_tator_was_down(tmp_path, undisturbed):
    """Also with some of the boxes made: Tator goes down during the second request of the upload."""
    with ExitStack() as stack:
        site, server = _site_at(stack, tmp_path, 0, 0)
        site.environ["TATOR_PATIENCE_SECONDS"] = "2"
        site.server.fault("slow", operation="CreateLocalizationList", nth=2, seconds=5)
        run = site.start()
        until(lambda: len(site.server.requests("CreateLocalizationList")) > 1 or run.process.poll() is not None)
        os.kill(server.pid, signal.SIGKILL)
        assert run.wait() != 0
        assert "run again later" in run.text, run.text
        assert "Traceback" not in run.text
        ports = [urlsplit(address).port or 0 for address in (server.host, server.store)]
        site, _ = _site_at(stack, tmp_path, *ports)
        site.run_ok()
        assert site.state() == undisturbed


def _site_at(stack, folder, port, store_port):
    media = folder / "media"
    if not media.exists():
        media_of_a_site(media)
    server = stack.enter_context(running(media, folder / "state", port=port, store_port=store_port))
    return Site(server, folder / "run"), server


def test_media_deleted_before_its_download(site, undisturbed):
    run = run_with_action(site, "GetDownloadInfo", lambda: site.api.delete_media(1))
    check_missing(site, run, undisturbed)


def test_media_deleted_before_its_upload(site, undisturbed):
    run = run_with_action(site, "CreateLocalizationList", lambda: site.api.delete_media(1))
    check_missing(site, run, undisturbed)


def test_media_deleted_before_its_mark(site, undisturbed):
    run = run_with_action(site, "UpdateMediaList", lambda: site.api.delete_media(1))
    check_missing(site, run, undisturbed)


def check_missing(site, run, undisturbed):
    """Check that the other media is done and marked, and the deleted one named, also by the next run."""
    of_2 = [box for box in undisturbed.boxes if box["media"] == 2]
    first = run.wait(), run.text
    for status, text in (first, site.run()):
        assert status != 0
        assert re.search(r"media 1 \([^)]+\) is missing: it was deleted while the workflow ran", text), text
        assert site.marked() == [2]
        assert [box for box in site.boxes() if box["media"] == 2] == of_2
        assert "Traceback" not in text


def test_a_version_deleted_during_the_run(site, undisturbed):
    def delete():
        (version,) = [v for v in site.api.get_version_list(site.server.project_id) if v["name"] == "Object Detector"]
        site.api.delete_version(version["id"])

    run = run_with_action(site, "GetDownloadInfo", delete)
    assert run.wait() != 0
    assert "was deleted while the workflow ran" in run.text
    assert "the same command with --forcerun prepare_upload" in run.text
    assert "Traceback" not in run.text
    site.run_ok("--forcerun", "prepare_upload")
    assert contents(site.boxes()) == contents(undisturbed.boxes)
    assert site.marked() == undisturbed.marked


def test_a_plain_run_notices_deleted_boxes(site, undisturbed):
    """With their version, which is made again, and if the version still exists."""
    site.run_ok()
    for change, message in (("deleted", "is not there any more"), ("emptied", "is empty, and the last run left")):
        (version,) = [v for v in site.api.get_version_list(site.server.project_id) if v["name"] == "Object Detector"]
        everything = {"version": [version["id"]], "show_all_marks": 1, "show_deleted": 1}
        site.api.delete_localization_list(site.server.project_id, {"prune": 1}, **everything)
        if change == "deleted":
            site.api.delete_version(version["id"])
        site.server.clear_requests()
        text = site.run_ok()
        assert f"upload.version: version {version['id']} ('Object Detector') {message}" in text, text
        assert contents(site.boxes()) == contents(undisturbed.boxes), change
        assert not site.server.requests("Download"), change
        assert "Nothing to be done" in site.run_ok(), change


def contents(boxes):
    """Return the boxes without ids, which differ between versions."""
    keys = ("media", "frame", "x", "y", "width", "height", "mark", "variant_deleted")
    return sorted([*(box[key] for key in keys), *sorted(box["attributes"].items())] for box in boxes)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("GetDownloadInfo", r"403.*give the token's user the right Can Edit"),
        ("UpdateMediaList", r"403.*give the token's user the right Can Edit"),
    ],
)
def test_a_token_that_loses_rights_during_the_run(site, undisturbed, operation, message):
    project = site.server.project_id
    admin = str(site.server.users["admin"])
    run = run_with_action(
        site, operation, lambda: site.server.change("project", project, permissions={admin: "View Only"})
    )
    assert run.wait() != 0
    assert re.search(message, run.text), run.text
    site.server.change("project", project, permissions={admin: "Full Control"})
    site.run_ok()
    assert site.state() == undisturbed


def test_a_token_that_becomes_invalid_during_the_run(site, undisturbed):
    site.server.fault("revoke_token", operation="CreateLocalizationList")
    site.fails_with(r"Invalid token.*set TATOR_AUTH_TOKEN to a valid token of this site")
    # A refused token is not retried: each job sends one request.
    assert len(site.server.requests("CreateLocalizationList")) <= len(site.server.media)
    site.server.clear_faults()
    site.run_ok()
    assert site.state() == undisturbed


@pytest.mark.parametrize("operation", ["GetMediaListById", "GetDownloadInfo", "Download", "GetLocalizationList"])
def test_a_request_that_times_out_is_repeated(steps, monkeypatch, operation):
    steps.resolve(1)
    steps.prepare()
    steps.detected(1, ["0,10.000,20.000,64.000,36.000,0.900000:0.100000,1"])
    monkeypatch.setattr(sessions, "READ_SECONDS", 1)
    steps.server.fault("slow", operation=operation, seconds=3)
    assert steps.resolve(1)[0]["state"] == "ready"
    assert steps.download(1)["md5_checked"]
    assert steps.upload(1)["boxes"] == 1
    assert len(steps.server.requests(operation)) > 1


def test_a_write_carried_out_after_its_timeout_doubles_nothing(steps, monkeypatch):
    steps.resolve(1)
    steps.prepare()
    steps.detected(1, ["0,10.000,20.000,64.000,36.000,0.900000:0.100000,1"])
    monkeypatch.setattr(sessions, "READ_SECONDS", 1)
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "1")  # less than it takes
    steps.server.fault("slow", operation="CreateLocalizationList", seconds=4)
    assert steps.upload(1)["boxes"] == 1
    until(lambda: [box["mark"] for box in steps.boxes(show_all_marks=1)] == [0, 1])
    done = steps.upload(1)
    assert (done["boxes"], any(done["people"].values())) == (1, False)
