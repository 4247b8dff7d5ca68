"""Files whose addresses Tator refuses if asked by their keys, but has in the record of the media."""

import logging

import pytest

from scripts.download_media import download_media
from scripts.lib.downloads.connection import Connection, NoAddress
from scripts.lib.errors import ServerError
from scripts.lib.files import read_json
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import from_content
from scripts.lib.server.faults import Refused
from scripts.resolve_media import resolve_media
from tests.faults.hosts import host, reply
from tests.scripts.tator_steps import MARK

SECRET = "Signature=s3cr3t-of-the-picture"


def as_record(content):
    return from_content(MediaRecord, content)


@pytest.fixture
def server(steps):
    """Yield the server; restore the permissions afterwards."""
    yield steps.server
    steps.server.use_fine_grained_permissions(False)
    steps.server.change("project", steps.server.project_id, permissions={"1": "Full Control", "2": "Can Edit"})


def downloaded(steps, project, media_id):
    """Resolve and download a media of a project; return the record of the media and that of the download."""
    where = {"host": steps.server.host, "project_id": project}
    record, media, download = (steps.folder / f"{name}_{media_id}" for name in ("record", "media", "download"))
    settings = {"kind": "any", "skip_processed": False, "mark_attribute": MARK}
    resolve_media(**where, media_ids=[media_id], records=[record], **settings)
    download_media(**where, record=record, media=media, download=download)
    return read_json(record), read_json(download)


@pytest.mark.parametrize(
    ("fine_grained", "permission"), [(False, "Can Edit"), (True, "View Only"), (True, "Can Execute")]
)
def test_whoever_may_see_a_media_may_download_it(steps, server, monkeypatch, permission, fine_grained):
    server.use_fine_grained_permissions(fine_grained)
    server.change("project", server.project_id, permissions={"1": "Full Control", "2": permission})
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    _, download = downloaded(steps, server.project_id, 1)
    assert (download["state"], download["md5_checked"]) == ("ready", True)


def test_a_user_who_is_not_a_member_is_told_the_missing_right(steps, server, monkeypatch):
    server.change("project", server.project_id, permissions={"1": "Full Control"})
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    with pytest.raises(Refused, match=r"403: .*; give the token's user the right View Only in this project"):
        downloaded(steps, server.project_id, 1)


def test_a_viewer_is_told_the_rights_for_marks_and_addresses(steps, server, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["viewer"])
    server.change("project", server.project_id, permissions={"1": "Full Control", "3": "View Only"})
    project = Connection(server.host, server.project_id).project
    with pytest.raises(Refused, match=r"mark media: .*; give the token's user the right Can Edit in this project"):
        project.set_attributes([1], {MARK: "x"}, "mark media", remaining=lambda: [1])
    with pytest.raises(Refused, match=r"the right Can Transfer \(where the site has fine-grained permissions: Full Co"):
        Connection(server.host, server.project_id).project.addresses([f"1/{server.project_id}/1/x.mp4"])


def test_cloned_media(steps, server):
    """The file of a clone stays in the folder of the first project, where Tator refuses it by its key."""
    spec = {"dest_project": server.foreign_project_id, "dest_type": 25}
    [clone] = steps.api.clone_media_list(server.project_id, spec, media_id=[1]).id
    record, download = downloaded(steps, server.foreign_project_id, clone)
    assert record["file"]["path"].startswith(f"1/{server.project_id}/1/")
    assert (download["state"], download["md5_checked"]) == ("ready", True)
    assert [request["status"] for request in server.requests("GetDownloadInfo")][-1] == 403


@pytest.mark.parametrize("permission", ["Full Control", "Can Edit"])
def test_an_address_that_tator_cached_and_the_store_refuses(steps, server, monkeypatch, caplog, permission):
    """As if the store's keys were changed: for hours, Tator returns the cached address for the file's key."""
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
        _, download = downloaded(steps, server.project_id, 1)
    assert (download["state"], download["md5_checked"]) == ("ready", True)
    assert [request["status"] for request in server.requests("Download")] == [403, 200]
    written = [path.read_text() for path in steps.folder.glob("[rd]*_*")] + [caplog.text]
    assert not [text for text in written if "X-Amz-Signature" in text]


@pytest.mark.parametrize("status", [400, 401])
def test_an_address_whose_credentials_expired_is_replaced_by_that_of_the_media(steps, server, monkeypatch, status):
    """S3 and Google's store answer 400 to it."""
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "5")
    server.fault("status", status=status, operation="Download")
    _, download = downloaded(steps, server.project_id, 1)
    assert download["state"] == "ready"
    operations = [request["operation"] for request in server.requests()]
    first = operations.index("GetDownloadInfo")
    assert operations[first:].count("GetDownloadInfo") == 1
    assert "GetMediaListById" in operations[first:]


@pytest.fixture
def picture(server):
    """Yield a function that adds a picture by reference, the picture, and the headers of requests to its host."""
    content = bytes(range(256)) * 40

    with host(lambda handler: reply(handler, 200, content)) as (address, requests):

        def add(path=f"{address}/pic.jpg?{SECRET}", **fields):
            file = {"mime": "image/jpeg", "path": path, "size": len(content), "resolution": [480, 640], **fields}
            return server.add_media("ref.jpg", dtype="image", media_files={"image": [file]})

        yield add, content, requests


@pytest.mark.parametrize("fields", [{}, {"reference_only": 1}])
def test_picture_by_reference(steps, picture, caplog, fields):
    add, content, requests = picture
    number = add(**fields)
    with caplog.at_level(logging.DEBUG, logger="scripts"):
        record, download = downloaded(steps, steps.server.project_id, number)
    assert download == {
        "media_id": number,
        "state": "ready",
        "reason": None,
        "bytes": len(content),
        "md5_checked": False,
    }
    assert (steps.folder / f"media_{number}").read_bytes() == content
    assert len(requests) == 1
    assert "authorization" not in requests[0]
    assert not steps.server.requests("GetDownloadInfo")
    written = [path.read_text() for path in steps.folder.glob("[rd]*_*")] + [caplog.text]
    assert not [text for text in written if "s3cr3t" in text or "127.0.0.1" in text.replace(steps.server.host, "")]
    assert record["file"]["path"].startswith("reference:")


def test_an_unreachable_reference_is_reported_without_its_address(steps, picture, impatient, caplog):
    add, _, _ = picture
    number = add(path=f"http://127.0.0.1:9/pic.jpg?{SECRET}")
    with caplog.at_level(logging.DEBUG, logger="scripts"), pytest.raises(ServerError) as failed:
        downloaded(steps, steps.server.project_id, number)
    assert "s3cr3t" not in f"{failed.value}{caplog.text}"
    assert f"media {number}: " in str(failed.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://bucket/secret.jpg", "the scheme 's3'; expected http or https"),
        ("FTP://host/secret.jpg", "the scheme 'ftp'; expected http or https"),
        ("https:///secret.jpg", "without a host"),
        ("http://[secret/x.jpg", "not valid"),
        ("http://host:secret/x.jpg", "not valid"),
    ],
)
def test_references_that_cannot_be_downloaded_are_unsupported(steps, picture, path, message):
    add, _, _ = picture
    [record] = steps.resolve(add(path=path))
    assert (record["state"], message in record["reason"]) == ("unsupported", True), record
    assert "secret" not in str(record)


def test_one_refused_key_does_not_stop_the_others(steps, server, picture):
    """In shared jobs, one request asks for the addresses of many media, and a second one follows if it is refused."""
    add, _, _ = picture
    foreign = server.add_media("far.mp4", media_files={"archival": [{**file_of(server, 2), "path": "1/9/9/far.mp4"}]})
    numbers = [1, foreign, add(), 2]
    records = steps.resolve(*numbers)
    server.clear_requests()
    connection = Connection(server.host, server.project_id)
    connection.prefetch_addresses(list(map(as_record, records)))
    addresses = [connection.address(as_record(record)) for record in records]
    assert [address.startswith(server.store) for address in addresses] == [True, True, False, True]
    operations = [one["operation"] for one in server.requests() if one["operation"] != "GetSchema"]
    assert operations == ["GetDownloadInfo", "GetMediaListById"]
    assert [connection.store.get(addresses[at]).status_code for at in (0, 2, 3)] == [200] * 3


def test_a_file_that_was_replaced_is_reported(steps, server):
    number = server.add_media("far.mp4", media_files={"archival": [{**file_of(server, 1), "path": "1/9/9/far.mp4"}]})
    [record] = steps.resolve(number)
    server.change("media", number, media_files={"archival": [{**file_of(server, 1), "path": "1/9/9/new.mp4"}]})
    with pytest.raises(NoAddress, match=f"media {number}: Tator no longer lists the archival file that was chosen"):
        Connection(server.host, server.project_id).address(as_record(record))


def file_of(server, number):
    media = next(record for record in server.all("media") if record["id"] == number)
    return media["media_files"]["archival"][0]
