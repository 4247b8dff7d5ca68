"""Talk to a Tator server: the official client with time-outs, stated retries and errors that help.

One retry layer, here, for what may be asked twice without harm (reading, marking): connection faults, 5xx,
answers that are not JSON, and Tator's way of throttling, a 400 whose text says so. Calls that make or remove
something are tried once, except when throttled; if their answer is lost they raise `LostAnswer`, and the caller looks
at what stands before it writes again (see scripts/lib/uploads.py).
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import tator
import tenacity
import yaml
from requests.adapters import HTTPAdapter
from tator.exceptions import ApiException

from scripts.lib import tator_schema
from scripts.lib.errors import ServerError, SettingsError
from scripts.lib.pace import Pace
from scripts.lib.token import VARIABLE, check_token, redact

CONNECT_SECONDS, READ_SECONDS = 10, 120
LONGEST_PAUSE_SECONDS = 30
CA_VARIABLE = "TATOR_CA_FILE"
PATIENCE_VARIABLE, PATIENCE_SECONDS = "TATOR_PATIENCE_SECONDS", 180.0

# Tator takes 1,000 ids in 0.4 s; larger lists gain nothing.
IDS_PER_CALL = 1000
BOXES_PER_PAGE = 10_000
MEDIA_PER_PAGE = 2000

_log = logging.getLogger(__name__)


TRUST = "see tator.host; where the site has a certificate authority of its own, name its certificate in tator.ca_file"


def untrusted(error: Exception) -> bool:
    """Whether a connection failed for its certificate or because no TLS is spoken there, rather than by chance."""
    return any(words in str(error) for words in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"))


class LostAnswer(Exception):
    """A write was sent and no usable answer came back: it may or may not have been carried out."""


class _Transient(Exception):
    """A fault that waiting may cure; the text is fit for a log."""


class _Throttled(_Transient):
    """Tator refused the call for now, without carrying it out."""


class _TimeOuts(HTTPAdapter):
    """Give every request of a session a time-out; the client sets none."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send the request with the default time-out where none is set."""
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
        return super().send(*args, **kwargs)


def session() -> requests.Session:
    """Return a session with time-outs and no credentials, which trusts whom tator.ca_file names."""
    if authority := os.environ.get(CA_VARIABLE):
        if not Path(authority).is_file():
            raise SettingsError(f"tator.ca_file: {authority} is no file; expected certificates in PEM format")
        os.environ["REQUESTS_CA_BUNDLE"] = authority  # where every session looks
    return _limited(requests.Session())


def _limited(new: requests.Session) -> requests.Session:
    for scheme in ("http://", "https://"):
        new.mount(scheme, _TimeOuts())
    return new


class _SessionPerThread(threading.local, requests.Session):
    """Looks like one session and is one for each thread: it is nowhere said that threads may share one."""

    def __init__(self, headers: Mapping[str, str | bytes]) -> None:
        requests.Session.__init__(self)
        self.headers.update(headers)
        _limited(self)


def patience() -> float:
    """Return for how many seconds a call is tried again before its job gives up."""
    text = os.environ.get(PATIENCE_VARIABLE) or str(PATIENCE_SECONDS)
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{PATIENCE_VARIABLE} is {text!r}; expected a number of seconds") from None


def patiently(*faults: type[Exception]) -> tenacity.Retrying:
    """Return the retry policy for these faults: growing pauses with jitter, logged, within `patience()`."""
    limit = patience()

    def log(state: tenacity.RetryCallState) -> None:
        _log.warning(
            "%s; try %d, again in %.1f s (giving up %.0f s after the first)",
            state.outcome.exception() if state.outcome else "",
            state.attempt_number,
            state.upcoming_sleep,
            limit,
        )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(faults),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE_SECONDS),
        stop=tenacity.stop_before_delay(limit),
        before_sleep=log,
        reraise=True,
    )


class Project:
    """The calls this workflow makes on one project; any number of threads may use it.

    Raises:
        ServerError: from every method, when the server refuses, or fails for longer than `patience()`.
    """

    def __init__(self, host: str, project_id: int, connections: int = 1) -> None:
        """Connect with the token of the environment; asks for the server's schema.

        Args:
            host: the server's address.
            project_id: the project.
            connections: the most requests at once, whatever the number of threads.
        """
        self.host, self.id = host, project_id
        self._pace = Pace(connections)
        self._api: Any = self._read("connect", lambda: _connect(host, check_token(os.environ)))

    def media(self, media_ids: list[int]) -> dict[int, dict[str, Any]]:
        """Return those of the media that exist in this project, by id."""
        found: dict[int, dict[str, Any]] = {}
        for at in range(0, len(media_ids), IDS_PER_CALL):
            chunk = media_ids[at : at + IDS_PER_CALL]  # never empty: Tator takes that for "all"
            answer = self._read("list media", partial(self._api.get_media_list_by_id, self.id, {"ids": chunk}))
            found |= {media["id"]: media for media in answer}
        return found

    def select_media(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield the media that Tator's filters let through, by id; by pages, so that there may be any number."""
        listed = partial(self._api.get_media_list, self.id, sort_by=["$id"], **filters)
        return self._by_pages("list media", listed, MEDIA_PER_PAGE)

    def media_anywhere(self, media_id: int) -> dict[str, Any] | None:
        """Return one media of whatever project, or None when there is none that this user may see."""
        try:
            return dict(self._read(f"read media {media_id}", lambda: self._api.get_media(media_id)))
        except Refused as refusal:
            if refusal.status in (403, 404):
                return None
            raise

    def media_types(self) -> dict[int, dict[str, Any]]:
        """Return the project's media types, by id."""
        kinds = self._read("list media types", lambda: self._api.get_media_type_list(self.id))
        return {kind["id"]: kind for kind in kinds}

    def addresses(self, paths: Sequence[str]) -> list[str]:
        """Return presigned addresses for stored files, good for an hour at least; secret: they carry signatures."""
        answer = self._read("get a download address", lambda: self._api.get_download_info(self.id, {"keys": paths}))
        return [str(signed["url"]) for signed in answer]

    def localization_types(self) -> list[dict[str, Any]]:
        """Return the project's localization types."""
        return list(self._read("list localization types", lambda: self._api.get_localization_type_list(self.id)))

    def versions(self) -> list[dict[str, Any]]:
        """Return the project's versions."""
        return list(self._read("list versions", lambda: self._api.get_version_list(self.id)))

    def create_version(self, name: str, description: str) -> None:
        """Make a version; may raise LostAnswer."""
        spec = {"name": name, "description": description, "show_empty": False}
        self._write("create a version", lambda: self._api.create_version(self.id, spec))

    def describe_version(self, version_id: int, description: str) -> None:
        """Change a version's description."""
        body = {"description": description}
        self._read("describe the version", lambda: self._api.update_version(version_id, body))

    def boxes(self, media_id: int, type_id: int, version_id: int, **more: int) -> Iterator[dict[str, Any]]:
        """Yield the latest mark of every box of the media, tombstones of deleted ones included.

        By pages, so that a media may have any number. A box that somebody edits meanwhile may come twice, the
        newer mark last; none is left out, as a new mark gets a higher id.
        """
        filters = {"media_id": [media_id], "type": type_id, "version": version_id, "show_deleted": 1, **more}
        listed = partial(self._api.get_localization_list, self.id, **filters)
        return self._by_pages("list boxes", listed, BOXES_PER_PAGE)

    def count_boxes(self, media_id: int, type_id: int, version_id: int) -> int:
        """Return how many boxes of the media there are, without deleted ones."""
        filters = {"media_id": [media_id], "type": type_id, "version": version_id}
        return int(self._read("count boxes", partial(self._api.get_localization_count, self.id, **filters)))

    def create_boxes(self, specs: list[dict[str, Any]]) -> None:
        """Make boxes, at most 500, all or none; may raise LostAnswer."""
        self._write("create boxes", lambda: self._api.create_localization_list(self.id, specs))

    def prune_boxes(self, media_id: int, version_id: int, boxes: dict[str, int]) -> None:
        """Remove boxes with all their marks and without a tombstone; may raise LostAnswer.

        Refused by the server, which is a LostAnswer too, unless exactly these are there with as many marks, so that a
        box that a person edited meanwhile stays.

        Args:
            media_id: their media.
            version_id: their version.
            boxes: how many marks each has, by elemental id.
        """
        if not boxes:
            raise ValueError("an empty list would match every box")
        body = {"elemental_ids": list(boxes), "prune": 1, "count": sum(boxes.values())}
        filters = {"media_id": [media_id], "version": version_id, "show_all_marks": 1, "show_deleted": 1}
        try:
            self._write("remove stale boxes", lambda: self._api.delete_localization_list(self.id, body, **filters))
        except Refused as refusal:
            if "Safety check failed" not in str(refusal):
                raise
            raise LostAnswer("remove stale boxes: somebody changed some of them meanwhile") from None

    def set_attribute(self, media_ids: list[int], name: str, value: str) -> None:
        """Set one attribute of media of one and the same type."""
        if not media_ids:
            raise ValueError("an empty list would match every media")
        body = {"ids": media_ids, "attributes": {name: value}}
        self._read("mark media", lambda: self._api.update_media_list(self.id, body))

    def _by_pages(self, what: str, listed: Callable[..., Any], size: int) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            begun = {"after": last} if last else {}
            page = self._read(what, partial(listed, stop=size, **begun))
            ids = [found["id"] for found in page]
            if len(page) >= size and (ids[0] <= last or ids != sorted(ids)):
                raise ServerError(f"{what}: Tator lists them in another order than by id; expected one of 1.0 or newer")
            yield from page
            if len(page) < size:
                return
            last = ids[-1]

    def _read(self, what: str, call: Callable[[], Any]) -> Any:
        """Make a call that may be made twice without harm."""
        return _patiently(lambda: self._paced(what, call))

    def _write(self, what: str, call: Callable[[], Any]) -> None:
        """Try once, but wait while throttled: only then is it sure that nothing was done."""

        def once() -> None:
            try:
                self._paced(what, call)
            except _Throttled:
                raise
            except _Transient as fault:
                raise LostAnswer(str(fault)) from None

        _patiently(once)

    def _paced(self, what: str, call: Callable[[], Any]) -> Any:
        return self._pace.call(lambda: _classified(what, self.host, call), less=_Throttled)


def _connect(host: str, token: str) -> Any:
    """Make the client, which asks for the server's schema and parses it unless it is known already."""
    try:
        with session() as asking, tator_schema.at_hand(host, asking):
            api = tator.get_api(host, token)
    except (yaml.YAMLError, AttributeError):
        raise ServerError(f"connect: {host}/schema is no OpenAPI document; is tator.host a Tator site?") from None
    api.session = _SessionPerThread(api.session.headers)
    return api


def _patiently(call: Callable[[], Any]) -> Any:
    try:
        return patiently(_Transient)(call)
    except _Transient as fault:
        raise Unwell(f"{fault}; tried for {patience():.0f} s; run again when Tator is well") from None


class Unwell(ServerError):
    """The server failed for longer than `patience()`, or its store; the next call would too."""


class Refused(ServerError):
    """The server answered that it will not do this; waiting does not help."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _classified(what: str, host: str, call: Callable[[], Any]) -> Any:
    """Make a call; turn its faults into those that waiting may cure and those it cannot."""
    try:
        answer = call()
    except ApiException as error:
        raise _from_answer(what, host, int(error.status or 0), error.body or "") from None
    except requests.exceptions.HTTPError as error:  # only from fetching the schema
        status = error.response.status_code if error.response is not None else 0
        raise _from_answer(what, host, status, "no Tator schema at this address") from None
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise ServerError(f"{what}: cannot use the address {host}: {_brief(str(error))}; see tator.host") from None
    except requests.exceptions.SSLError as error:
        if untrusted(error):
            raise ServerError(f"{what}: {urlsplit(host).netloc}: {_brief(str(error))}; {TRUST}") from None
        raise _Transient(f"{what}: {urlsplit(host).netloc}: SSLError: {_brief(str(error))}") from None
    except requests.exceptions.RequestException as error:
        raise _Transient(f"{what}: {urlsplit(host).netloc}: {type(error).__name__}: {_brief(str(error))}") from None
    if isinstance(answer, bytes | str):  # the client hands over what is not JSON as it is
        raise _Transient(f"{what}: {urlsplit(host).netloc} answered something that is not JSON")
    return answer


def _from_answer(what: str, host: str, status: int, body: str) -> Exception:
    text = _brief(body)
    where = f"{what}: {host} answered {status}"
    if "throttled" in body[:500]:
        return _Throttled(f"{where}: {text}")
    if status >= 500 or status in (0, 408, 429):
        return _Transient(f"{where}: {text}")
    if "Invalid token" in body[:500] or "credentials were not provided" in body[:500]:
        remedy = f"set {VARIABLE} to a valid token of this site"
    elif status == 403:
        remedy = "give the token's user the rights: Can Edit to write, Can Transfer to download"
    elif status == 404:
        remedy = "check tator.host, tator.project_id and that the object still exists"
    else:
        remedy = "the request itself is not acceptable to this server"
    return Refused(status, f"{where}: {text}; {remedy}")


def _brief(text: str, limit: int = 300) -> str:
    """Cut an answer, which may echo the whole request, to what a log can bear."""
    line = redact(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[:limit]} ..."
