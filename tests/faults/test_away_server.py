"""A server that does not answer for longer than a job's patience: a run waits once, not once for each media."""

import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import MediaServerError, ServerError
from scripts.lib.server import outages
from scripts.lib.server.outages import Outage
from tests.faults.site import Site
from tests.scripts.tator_steps import Steps

# The patience for the first media, and for those that come after it and must not wait that long.
FIRST_SECONDS, LATER_SECONDS = 3, 60
MEDIA = 10


@pytest.fixture
def ten(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the ids of ten resolved media in a run's folder."""
    (steps.folder / "resources").mkdir()
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", str(FIRST_SECONDS))
    file = next(one for one in steps.server.all("media") if one["id"] == 1)
    numbers = [1]
    for number in range(MEDIA - 1):
        copy = {key: file[key] for key in ("media_files", "md5", "fps", "num_frames", "width", "height")}
        numbers.append(steps.server.add_media(f"copy {number}", **copy))
    steps.resolve(*numbers)
    return numbers


def check_one_wait(work: Callable[[int], Any], media_ids: list[int], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do work for each media, which must fail, but wait a whole patience only for the first; return the messages."""
    messages, seconds = [], []
    for media_id in media_ids:
        started = time.monotonic()
        with pytest.raises(ServerError) as error:
            work(media_id)
        messages.append(str(error.value))
        seconds.append(time.monotonic() - started)
        monkeypatch.setenv("TATOR_PATIENCE_SECONDS", str(LATER_SECONDS))
    assert sum(seconds[1:]) < LATER_SECONDS, seconds
    return messages


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "reset"},
        {"kind": "outage", "message": "starting"},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
def test_ten_media_wait_for_an_outage_once(
    steps: Steps, ten: list[int], fault: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.server.fault(**fault, operation="GetDownloadInfo", times=None)
    assert all("run again later" in message for message in check_one_wait(steps.download, ten, monkeypatch))
    # When the server answers again, the next job does its work, and the one after it has its whole patience.
    steps.server.clear_faults()
    assert steps.download(ten[0])["state"] == "ready"
    assert not list(outages.FOLDER.glob("*.away.json"))
    steps.server.fault(**fault, operation="GetDownloadInfo", times=4)
    assert steps.download(ten[1])["state"] == "ready"


ROWS = [f"{frame},10.000,20.000,64.000,36.000,0.900000:0.100000,1" for frame in range(3)]


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("CreateLocalizationList", {"kind": "status", "status": 503}),
        ("CreateLocalizationList", {"kind": "reset"}),
        ("CreateLocalizationList", {"kind": "outage", "message": "refused"}),
        ("DeleteLocalizationList", {"kind": "status", "status": 503}),
        ("CreateStateList", {"kind": "status", "status": 503}),
        ("CreateStateList", {"kind": "outage", "message": "refused"}),
    ],
)
def test_media_wait_once_if_writes_fail(
    steps: Steps, ten: list[int], operation: str, fault: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for a request that may still be running is waited only once as well."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", str(FIRST_SECONDS))
    media_ids, upload = ten[:4], steps.upload
    steps.prepare(track_type_id=steps.add_track_type())
    for media_id in media_ids:
        steps.detected(media_id, ROWS)
        if operation != "CreateLocalizationList":
            steps.upload(media_id)
    if operation == "CreateStateList":
        for media_id in media_ids:
            steps.tracked(media_id, ROWS)
        upload = steps.upload_tracks
    if operation == "DeleteLocalizationList":
        for media_id in media_ids:
            steps.detected(media_id, ROWS[:1])
    steps.server.fault(**fault, operation=operation, times=None)
    messages = check_one_wait(upload, media_ids, monkeypatch)
    assert all("run again later" in message for message in messages)
    assert ["as another job of this run has waited already" in message for message in messages] == [False, *[True] * 3]
    steps.server.clear_faults()
    assert upload(media_ids[0])
    assert not list(outages.FOLDER.glob("*.away.json"))
    # The next media has its whole patience again.
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0")
    steps.server.fault(**fault, operation=operation, times=4)
    assert upload(media_ids[1])


def test_ten_media_wait_once_if_the_store_does_not_answer(
    steps: Steps, ten: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.server.fault("reset", operation="Download", times=None)
    messages = check_one_wait(steps.download, ten, monkeypatch)
    assert all(re.search("media .*another media's|media .*tried for", message) for message in messages)
    [note] = outages.FOLDER.glob("*.away.json")
    assert "X-Amz" not in note.read_text() + note.name
    steps.server.clear_faults()
    assert steps.download(ten[0])["state"] == "ready"
    assert not note.exists()


@pytest.mark.parametrize("status", [500, 404, 403])
def test_a_fault_of_one_file_is_not_noted_as_an_outage(
    steps: Steps, ten: list[int], status: int, impatient: None
) -> None:
    steps.server.fault("status", operation="Download", media=1, status=status, times=None)
    with pytest.raises(MediaServerError):
        steps.download(1)
    assert not list(outages.FOLDER.glob("*.away.json"))


def test_throttling_is_no_outage(steps: Steps, ten: list[int], impatient: None) -> None:
    steps.server.fault("throttle", operation="GetDownloadInfo", times=None)
    with pytest.raises(ServerError):
        steps.download(1)
    assert not list(outages.FOLDER.glob("*.away.json"))


def test_a_note_of_an_outage_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resources").mkdir()
    outage = Outage("https://tator.example:8443/rest", "list media")
    assert not outage.is_noted()
    outage.note("no answer")
    assert outage.is_noted()
    assert Outage("https://tator.example:8443", "mark media").is_noted()
    assert not Outage("https://tator.example/rest", "list media").is_noted()
    [note] = outages.FOLDER.glob("*")
    assert note.name.endswith("+list_media.away.json")
    assert "tator.example" not in note.name + note.read_text()
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "30")
    moment = time.time()
    monkeypatch.setattr(time, "time", lambda: moment + 31)
    assert not outage.is_noted()


def test_the_next_run_removes_the_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resources").mkdir()
    Outage("https://a.example", "list media").clear()
    Outage("https://a.example", "list media").note("no answer")
    (outages.FOLDER / ".a+x.away.json.part").touch()
    outages.forget(tmp_path)
    assert [path.suffix for path in outages.FOLDER.iterdir()] == [".answered"]
    assert not Outage("https://a.example", "list media").never_answered()


def test_no_note_is_written_outside_a_run_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Outage("https://a.example", "list media").note("no answer")
    Outage("https://a.example", "list media").clear()
    assert not list(tmp_path.iterdir())


@pytest.fixture(params=["port", "name"])
def unreachable(request: pytest.FixtureRequest) -> str:
    """Return an address at which nothing listens: a wrong port, or an unknown name."""
    if request.param == "name":
        return "https://tator.nowhere.invalid"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_an_address_that_never_answered_is_given_up_early(
    steps: Steps, unreachable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (steps.folder / "resources").mkdir()
    monkeypatch.setattr("scripts.lib.server.api.NEVER_ANSWERED_SECONDS", 2.0)
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "60")
    started = time.monotonic()
    with pytest.raises(ServerError, match=r"or correct tator\.host: nothing has answered there yet"):
        Steps(steps.folder, replace(steps.server, host=unreachable)).resolve(1)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer_is_named_and_not_the_address(
    steps: Steps, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.lib.server.api.NEVER_ANSWERED_SECONDS", 0.0)
    monkeypatch.setenv("TATOR_ALLOW_HTTP", "true")
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    variable = f"{scheme.upper()}_PROXY"
    monkeypatch.setenv(variable, "http://user:pa55word@127.0.0.1:1")
    with pytest.raises(ServerError) as caught:
        Steps(steps.folder, replace(steps.server, host=f"{scheme}://tator.site.org")).resolve(1)
    words = rf"connect: tator\.site\.org through the proxy 'http://\S+@127\.0\.0\.1:1' \({variable}\): .*refused"
    assert re.search(words, str(caught.value)), caught.value
    assert str(caught.value).endswith(f"run again later, or correct {variable}: nothing has answered there yet")
    assert "pa55word" not in str(caught.value)
    assert "tator.host" not in str(caught.value)


def test_a_server_that_answered_before_is_not_given_up_early(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    (steps.folder / "resources").mkdir()
    monkeypatch.setattr("scripts.lib.server.api.NEVER_ANSWERED_SECONDS", 0.0)
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "2")
    steps.resolve(1)
    assert not Outage(steps.server.host, "list media").never_answered()


def test_a_whole_run_waits_once(site: Site) -> None:
    """Each media has its own jobs, in separate processes; the next run waits its full time again."""
    for number in range(4):
        site.server.add_media(
            f"picture {number}", dtype="image", files={"image": [site.folder.parent / "media" / "picture.png"]}
        )
    site.settings["tator"]["media_ids"] = sorted(one["id"] for one in site.server.all("media"))
    site.environ["TATOR_PATIENCE_SECONDS"] = "15"
    site.server.fault("status", operation="GetDownloadInfo", status=503, times=None)
    run = site.start("--cores", "1")
    assert run.wait() == 1
    given_up = re.findall(r"tried for [^\n]*", run.text)
    waited = [line for line in given_up if "another job of this run has waited already" in line]
    assert (len(given_up) >= 6, len(given_up) - len(waited)) == (True, 1), given_up
    site.server.clear_faults()
    site.server.fault("status", operation="GetDownloadInfo", status=503, times=5)
    site.run_ok()
