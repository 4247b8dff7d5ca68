"""The unmodified `tator` client against the stand-in."""

import shutil
from pathlib import Path

import pytest
import requests
import tator
from tator.exceptions import ApiException

from tests.conftest import SYNTHETIC

from . import files
from .launch import Server, running


def drain(api, media, path: Path, **settings) -> list[float]:
    return list(tator.util.download_media(api, media, str(path), **settings))


def box(server: Server, version: int, **fields):
    return {
        "type": server.localization_type_id, "media_id": 1, "frame": 0, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2,
        "version": version, "attributes": {"Species": "cod", "Confidence": 0.5}, **fields,
    }  # fmt: skip


def test_schema_is_cached_by_its_etag(server: Server, api) -> None:
    assert requests.get(f"{server.host}/schema", allow_redirects=False).status_code == 301
    etag = requests.get(f"{server.host}/schema/").headers["ETag"]
    assert requests.get(f"{server.host}/schema", headers={"If-None-Match": etag}).status_code == 304
    assert requests.get(f"{server.host}/rest/schema").status_code == 404
    for suffix in ("/rest", "/", "//"):
        with pytest.raises(requests.HTTPError, match="404"):
            tator.get_api(f"{server.host}{suffix}", server.token)


@pytest.mark.parametrize("path", ["//schema/", "//rest/Media/1", "/rest//Media/1", "/rest/Media//1", "/rest/Media/1/"])
def test_an_address_with_an_additional_slash_is_not_found(server: Server, path: str) -> None:
    answer = requests.get(f"{server.host}{path}", headers={"Authorization": f"Token {server.token}"})
    assert (answer.status_code, answer.history) == (404, [])
    assert "<title>Not Found</title>" in answer.text


def test_each_file_is_a_media(server: Server, api) -> None:
    names = ["a 'quoted' <name>.mp4", "b.mp4", "junk.mp4", "zero.jpg"]
    assert server.media == dict(enumerate(names, start=1))
    listed = api.get_media_list_by_id(server.project_id, {"ids": [4, 3, 2, 1, 1, 99]})
    assert [media.name for media in listed] == names
    video, junk, zero = listed[0], listed[2], listed[3]
    assert (video.width, video.height, video.num_frames, video.fps) == (640, 360, 60, 20.0)
    assert video.media_files.archival[0].codec == "h264"
    assert [junk.type, junk.width, junk.height, junk.num_frames] == [server.video_type_id, None, None, None]
    assert [zero.type, zero.width, zero.media_files.image[0].size] == [server.image_type_id, None, 0]


def test_download_is_the_original(server: Server, api, tmp_path: Path) -> None:
    media = api.get_media(2)
    assert drain(api, media, tmp_path / "out.mp4")[-1] == 100
    original = SYNTHETIC / "clip_910001.mp4"
    assert (tmp_path / "out.mp4").read_bytes() == original.read_bytes()
    assert media.md5 == tator.util.md5sum(str(original)) == files.tator_md5(original)
    assert media.media_files.archival[0].size == original.stat().st_size


def test_presigned_media_needs_no_transfer_permission(server: Server, tmp_path: Path) -> None:
    viewer = tator.get_api(server.host, server.tokens["viewer"])
    media = viewer.get_media(1, presigned=3600)
    assert media.media_files.archival[0].path.startswith(server.store)
    assert drain(viewer, media, tmp_path / "out.mp4")[-1] == 100
    with pytest.raises(ApiException) as refused:
        viewer.get_download_info(server.project_id, {"keys": [viewer.get_media(1).media_files.archival[0].path]})
    assert refused.value.status == 403


def test_the_token_is_not_sent_to_the_store_by_the_client(server: Server, api, tmp_path: Path) -> None:
    drain(api, api.get_media(1), tmp_path / "out.mp4")
    [download] = server.requests("Download")
    assert not download["authorization"]
    address = api.get_media(1, presigned=60).media_files.archival[0].path
    refused = requests.get(address, headers={"Authorization": f"Token {server.token}"})
    assert (refused.status_code, "Only one auth mechanism allowed" in refused.text) == (400, True)
    assert server.requests("Download")[-1]["authorization"]
    assert server.token not in str(server.requests())
    assert "Signature" not in str(server.requests())


def test_address_is_signed_and_expires(server: Server, api) -> None:
    address = api.get_media(1, presigned=60).media_files.archival[0].path
    assert requests.get(address).status_code == 200
    changed = address.replace("Expires=1", "Expires=2")
    for wrong in (changed, address.partition("?")[0], address.replace("/1/", "/2/")):
        refused = requests.get(wrong)
        assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/xml")
    assert requests.head(address).status_code == 403
    missing = api.get_download_info(server.project_id, {"keys": [f"1/{server.project_id}/1/none.mp4"]})[0].url
    assert (requests.get(missing).status_code, "NoSuchKey" in requests.get(missing).text) == (404, True)


def test_boxes_are_created_listed_counted_and_deleted(server: Server, api, version: int) -> None:
    project = server.project_id
    made = api.create_localization_list(project, body=[box(server, version, frame=n, x=1 / 3) for n in range(500)])
    assert len(made.id) == 500
    listed = api.get_localization_list(project, version=[version])
    assert [one.id for one in listed] == made.id
    assert listed[0].x == 1 / 3
    assert api.get_localization_count(project, version=[version], frame=7) == 1
    by_id = {"media_ids": [1], "ids": made.id[:3]}
    assert api.get_localization_count_by_id(project, by_id, version=[version]) == 3
    bulk = {"ids": made.id[:499], "count": 499}
    assert "499" in api.delete_localization_list(project, bulk, version=[version]).message
    assert [one.frame for one in api.get_localization_list(project, version=[version])] == [499]


def test_boxes_are_created_singly_and_in_chunks(server: Server, api, version: int) -> None:
    assert len(api.create_localization_list(server.project_id, body=box(server, version)).id) == 1
    boxes = [box(server, version, frame=n) for n in range(5)]
    chunks = tator.util.chunked_create(api.create_localization_list, server.project_id, chunk_size=2, body=boxes)
    assert [len(answer.id) for answer in chunks] == [2, 2, 1]
    assert api.get_localization_count(server.project_id, version=[version]) == 6


def test_media_of_any_kind(server: Server, api, tmp_path: Path) -> None:
    file = SYNTHETIC / "clip_910001.mp4"
    streaming = api.get_media(server.add_media("s.mp4", files={"streaming": [file]}))
    assert streaming.media_files.archival is None
    assert drain(api, streaming, tmp_path / "s.mp4")[-1] == 100
    assert streaming.md5 != tator.util.md5sum(str(tmp_path / "s.mp4"))

    multi = api.get_media(server.add_media("m", dtype="multi", media_files={"ids": [1, 2], "layout": [1, 2]}))
    with pytest.raises(AssertionError):
        tator.util.download_media(api, multi, str(tmp_path / "m.mp4"))
    fileless = api.get_media(server.add_media("f", num_frames=7))
    assert (fileless.media_files, fileless.num_frames) == (None, 7)
    assert drain(api, fileless, tmp_path / "f.mp4") == []

    foreign = server.add_media("x.mp4", project=server.foreign_project_id)
    assert api.get_media_list_by_id(server.project_id, {"ids": [foreign]}) == []
    archived = server.add_media("old.mp4", files={"archival": [file]}, archive_state="archived")
    assert [m.id for m in api.get_media_list(server.project_id, archive_lifecycle="archived")] == [archived]
    assert server.change("media", archived, num_frames=1)["num_frames"] == 1


def test_media_are_created_and_changed_with_the_api(server: Server, api) -> None:
    specs = {"type": server.multi_type_id, "name": "multi", "md5": "0" * 32}
    made = api.create_media_list(server.project_id, body=[specs])
    assert made.message == f"Media object {made.id[0]} created for multi multi on project Stand-in"
    api.update_media(made.id[0], {"multi": {"ids": [1, 2], "layout": [1, 2], "quality": 360}})
    assert api.get_media(made.id[0]).media_files == {"ids": [1, 2], "layout": [1, 2], "quality": 360}
    live = api.create_media_list(server.project_id, body={**specs, "type": server.live_type_id}).id
    streams = [{"url": "rtsp://x", "feeds": []}]
    api.update_media(live, {"live": {"streams": streams, "layout": [1, 1]}})
    assert api.get_media(live).media_files.live == streams
    api.delete_media(live)
    with pytest.raises(ApiException) as missing:
        api.get_media(live)
    assert (missing.value.status, "No Media matches" in missing.value.body) == (404, True)


def test_restart_keeps_everything(tmp_path: Path) -> None:
    media, state = tmp_path / "media", tmp_path / "state"
    media.mkdir()
    shutil.copy(SYNTHETIC / "clip_910001.mp4", media / "b.mp4")
    with running(media, state) as server:
        api = tator.get_api(server.host, server.token)
        number = api.create_localization_list(server.project_id, body=[box(server, server.version_id)]).id[0]
        address = api.get_media(1, presigned=600).media_files.archival[0].path
        first, store_port = server, int(server.store.rpartition(":")[2])
    shutil.copy(SYNTHETIC / "clip_910002.mp4", media / "a.mp4")
    with running(media, state, port=int(first.host.rpartition(":")[2]), store_port=store_port) as server:
        assert (server.token, server.host) == (first.token, first.host)
        assert server.media == {1: "b.mp4", 2: "a.mp4"}  # later files have higher ids
        api = tator.get_api(server.host, server.token)
        assert api.get_localization(number).attributes == {"Species": "cod", "Confidence": 0.5}
        assert requests.get(address).status_code == 200


def test_page_escapes_names_and_shows_boxes_and_marks(server: Server, api, version: int) -> None:
    api.create_localization_list(server.project_id, body=[box(server, version)] * 3)
    api.update_media(2, {"attributes": {"Object Detector Processed": "2026-01-01"}})
    page = requests.get(server.host)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for text in ("a &#39;quoted&#39; &lt;name&gt;.mp4", "2026-01-01", "1 marked as processed", ">3</td>"):
        assert text in page.text
    assert server.token not in page.text
