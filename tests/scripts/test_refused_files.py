"""Files whose addresses Tator refuses to give by their keys: it gives them with the media."""

import logging

import pytest

from scripts.download_media import download_media
from scripts.lib.downloads.connection import Connection, NoAddress
from scripts.lib.errors import ServerError
from scripts.lib.files import read_json
from scripts.lib.record_files import from_content
from scripts.lib.records import MediaRecord
from scripts.lib.server.faults import Refused
from scripts.resolve_media import resolve_media
from tests.faults.hosts import host, reply
from tests.scripts.tator_steps import MARK

SECRET = "Signature=s3cr3t-of-the-picture"


def as_record(content):
    return from_content(MediaRecord, content)


@pytest.fixture
def server(steps):
    """Return the server, with the old permissions again when the test is over."""
    yield steps.server
    steps.server.use_fine_grained_permissions(False)
    steps.server.change("project", steps.server.project_id, permissions={"1": "Full Control", "2": "Can Edit"})


def through(steps, project, media_id):
    """Resolve and download a media of a project; return the record of the media and that of the download."""
    where = {"host": steps.server.host, "project_id": project}
    record, media, got = (steps.folder / f"{name}_{media_id}" for name in ("record", "media", "got"))
    settings = {"kind": "any", "skip_processed": False, "mark_attribute": MARK}
    resolve_media(**where, media_ids=[media_id], records=[record], **settings)
    download_media(**where, record=record, media=media, download=got)
    return read_json(record), read_json(got)


@pytest.mark.parametrize(
    ("fine_grained", "permission"), [(False, "Can Edit"), (True, "View Only"), (True, "Can Execute")]
)
def test_whoever_may_see_a_media_may_download_it(steps, server, monkeypatch, permission, fine_grained):
    server.use_fine_grained_permissions(fine_grained)
    server.change("project", server.project_id, permissions={"1": "Full Control", "2": permission})
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    _, got = through(steps, server.project_id, 1)
    assert (got["state"], got["md5_checked"]) == ("ready", True)


def test_who_is_no_member_is_told_so(steps, server, monkeypatch):
    server.change("project", server.project_id, permissions={"1": "Full Control"})
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    with pytest.raises(Refused, match=r"403: .*; give the token's user the right View Only in this project"):
        through(steps, server.project_id, 1)


def test_a_viewer_is_told_what_marking_takes(steps, server, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["viewer"])
    server.change("project", server.project_id, permissions={"1": "Full Control", "3": "View Only"})
    project = Connection(server.host, server.project_id).project
    with pytest.raises(Refused, match=r"mark media: .*; give the token's user the right Can Edit in this project"):
        project.set_attributes([1], {MARK: "x"}, "mark media", remaining=lambda: [1])
    with pytest.raises(Refused, match=r"the right Can Transfer \(where the site has fine-grained permissions: Full Co"):
        Connection(server.host, server.project_id).project.addresses([f"1/{server.project_id}/1/x.mp4"])


def test_cloned_media(steps, server):
    """A clone's file stays in the first project's folder, where Tator refuses it by its key."""
    spec = {"dest_project": server.foreign_project_id, "dest_type": 25}
    [clone] = steps.api.clone_media_list(server.project_id, spec, media_id=[1]).id
    record, got = through(steps, server.foreign_project_id, clone)
    assert record["file"]["path"].startswith(f"1/{server.project_id}/1/")
    assert (got["state"], got["md5_checked"]) == ("ready", True)
    assert [asked["status"] for asked in server.requests("GetDownloadInfo")][-1] == 403


@pytest.mark.parametrize("permission", ["Full Control", "Can Edit"])
def test_address_that_tator_keeps_and_the_store_refuses(steps, server, monkeypatch, caplog, permission):
    """As when the store gets other keys: by the file's key Tator gives the same address again, for hours."""
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "5")
    if permission != "Full Control":
        server.change("project", server.project_id, permissions={"1": "Full Control", "2": permission})
        monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    [record] = steps.resolve(1)
    if permission == "Full Control":
        kept = Connection(server.host, server.project_id).address(as_record(record))
        server.fault("expire_addresses", media=1)
        assert Connection(server.host, server.project_id).address(as_record(record)) == kept
    else:
        server.fault("expire_addresses", media=1)
    server.clear_requests()
    with caplog.at_level(logging.DEBUG, logger="scripts"):
        _, got = through(steps, server.project_id, 1)
    assert (got["state"], got["md5_checked"]) == ("ready", True)
    assert [asked["status"] for asked in server.requests("Download")] == [403, 200]
    written = [path.read_text() for path in steps.folder.glob("[rg]*_*")] + [caplog.text]
    assert not [text for text in written if "X-Amz-Signature" in text]


@pytest.fixture
def picture(server):
    """Yield what adds a picture by reference, its content, and the headers that came to its host."""
    content = bytes(range(256)) * 40

    with host(lambda handler: reply(handler, 200, content)) as (address, asked):

        def add(path=f"{address}/pic.jpg?{SECRET}", **fields):
            file = {"mime": "image/jpeg", "path": path, "size": len(content), "resolution": [480, 640], **fields}
            return server.add_media("ref.jpg", dtype="image", media_files={"image": [file]})

        yield add, content, asked


@pytest.mark.parametrize("fields", [{}, {"reference_only": 1}])
def test_picture_by_reference(steps, picture, caplog, fields):
    add, content, asked = picture
    number = add(**fields)
    with caplog.at_level(logging.DEBUG, logger="scripts"):
        record, got = through(steps, steps.server.project_id, number)
    assert got == {"media_id": number, "state": "ready", "reason": None, "bytes": len(content), "md5_checked": False}
    assert (steps.folder / f"media_{number}").read_bytes() == content
    assert len(asked) == 1
    assert "authorization" not in asked[0]
    assert not steps.server.requests("GetDownloadInfo")
    written = [path.read_text() for path in steps.folder.glob("[rg]*_*")] + [caplog.text]
    assert not [text for text in written if "s3cr3t" in text or "127.0.0.1" in text.replace(steps.server.host, "")]
    assert record["file"]["path"].startswith("reference:")


def test_a_reference_that_leads_nowhere_is_said_without_its_address(steps, picture, impatient, caplog):
    add, _, _ = picture
    number = add(path=f"http://127.0.0.1:9/pic.jpg?{SECRET}")
    with caplog.at_level(logging.DEBUG, logger="scripts"), pytest.raises(ServerError) as failed:
        through(steps, steps.server.project_id, number)
    assert "s3cr3t" not in f"{failed.value}{caplog.text}"
    assert f"media {number}: " in str(failed.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://bucket/secret.jpg", "the scheme 's3'; expected http or https"),
        ("FTP://host/secret.jpg", "the scheme 'ftp'; expected http or https"),
        ("https:///secret.jpg", "without a host"),
        ("http://[secret/x.jpg", "not valid"),
        ("http://host:secret/x.jpg", "not valid"),
    ],
)
def test_references_that_nobody_can_download(steps, picture, path, words):
    add, _, _ = picture
    [record] = steps.resolve(add(path=path))
    assert (record["state"], words in record["reason"]) == ("unsupported", True), record
    assert "secret" not in str(record)


def test_one_refused_key_does_not_refuse_the_others(steps, server, picture):
    """Of shared jobs: one request for many media's addresses, and one more where that is refused."""
    add, _, _ = picture
    foreign = server.add_media("far.mp4", media_files={"archival": [{**file_of(server, 2), "path": "1/9/9/far.mp4"}]})
    numbers = [1, foreign, add(), 2]
    records = steps.resolve(*numbers)
    server.clear_requests()
    connection = Connection(server.host, server.project_id)
    connection.prefetch_addresses(list(map(as_record, records)))
    addresses = [connection.address(as_record(record)) for record in records]
    assert [address.startswith(server.store) for address in addresses] == [True, True, False, True]
    asked = [asked["operation"] for asked in server.requests() if asked["operation"] != "GetSchema"]
    assert asked == ["GetDownloadInfo", "GetMediaListById"]
    assert [connection.store.get(addresses[at]).status_code for at in (0, 2, 3)] == [200] * 3


def test_a_file_that_was_replaced_is_said(steps, server):
    number = server.add_media("far.mp4", media_files={"archival": [{**file_of(server, 1), "path": "1/9/9/far.mp4"}]})
    [record] = steps.resolve(number)
    server.change("media", number, media_files={"archival": [{**file_of(server, 1), "path": "1/9/9/new.mp4"}]})
    with pytest.raises(NoAddress, match=f"media {number}: Tator no longer lists the archival file that was chosen"):
        Connection(server.host, server.project_id).address(as_record(record))


def file_of(server, number):
    media = next(record for record in server.all("media") if record["id"] == number)
    return media["media_files"]["archival"][0]
