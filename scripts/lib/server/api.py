"""The calls to a Tator server, through the official client.

Calls that can be repeated without harm (reading, marking) are retried here after transient faults (see faults.py) for
as long as retry.py allows, and after an unknown 400 `UNEXPLAINED_TRIES` times. Calls that create or remove something
are tried once, except when throttled. If their answer is lost they raise `LostAnswer`, and the caller checks the state
in Tator before it writes again (scripts/lib/uploads/rounds.py, project_needs.py).

A write of several objects is not one transaction in Tator: also after a 400 all of them may have been written.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from scripts.lib.network_access.retry import answer_seconds, retrying
from scripts.lib.network_access.sessions import proxy_variable
from scripts.lib.network_access.token import check_token
from scripts.lib.server import rights, rows, schema, values
from scripts.lib.server.faults import (
    LostAnswer,
    NotReached,
    Refused,
    ServerUnavailable,
    Throttled,
    Transient,
    UnexplainedRefusal,
    Unusable,
    classified,
)
from scripts.lib.server.outages import NEVER_ANSWERED_SECONDS, TRIES, Outage
from scripts.lib.server.pace import Pace
from scripts.lib.server.sessions import Clock
from scripts.lib.server.track_calls import TrackCalls

# Larger lists are not faster.
IDS_PER_CALL = 1000
ADDRESS_SECONDS = 3600
BOXES_PER_PAGE = 10_000
MEDIA_PER_PAGE = 2000
# The number of tries of a call whose answer is a 400 that is known neither as a refusal nor as an outage.
UNEXPLAINED_TRIES = 3


class Project(TrackCalls):
    """The calls of this workflow on one project; any number of threads may use them.

    Attributes:
        host: the server's address.
        id: the project's id.
        clock: the server's clock, from the answers to the thread that created this object.

    Raises:
        ServerError: from every method, if the server refuses, or fails for longer than `patience()`.
    """

    def __init__(self, host: str, project_id: int, connections: int = 1) -> None:
        """Connect with the token of the environment, and request the server's schema.

        Args:
            host: the server's address.
            project_id: the project.
            connections: the largest number of concurrent requests of all threads.
        """
        self.host, self.id = host, project_id
        self._pace = Pace(connections)
        self._api: Any = self._read("connect", lambda: schema.connect(host, check_token(os.environ)))
        self.clock = Clock()
        self._api.session.hooks["response"].append(self.clock.read)

    def media(self, media_ids: list[int], **more: int) -> dict[int, dict[str, Any]]:
        """Return the media that exist in this project, by id.

        If an answer is not a list of records, its media are requested in smaller groups, so that a bad record does not
        hide the others; if a media cannot be read even alone, its record has the fault in `unreadable`.
        """
        found: dict[int, dict[str, Any]] = {}
        for at in range(0, len(media_ids), IDS_PER_CALL):
            found |= self._media_of(media_ids[at : at + IDS_PER_CALL], more)
        return found

    def each_media(self, media_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the media that exist in this project, in the given order, as `media` returns them.

        Only the records of one call are in memory, as a record needs some kB.
        """
        for at in range(0, len(media_ids), IDS_PER_CALL):
            group = list(media_ids[at : at + IDS_PER_CALL])
            found = self.media(group)
            yield from (found[media_id] for media_id in group if media_id in found)

    def _media_of(self, group: list[int], more: dict[str, int]) -> dict[int, dict[str, Any]]:
        """Return the media of a group that exist; it must not be empty, as Tator reads an empty list as "all"."""
        what = "list media"
        try:
            answer = self._read(what, partial(self._api.get_media_list_by_id, self.id, {"ids": group}, **more))
            return {row["id"]: row for row in rows.listed(what, answer) if row["id"] in group}
        except Unusable as fault:
            if len(group) == 1:
                return {group[0]: {"id": group[0], "unreadable": str(fault)}}
            half = len(group) // 2
            return self._media_of(group[:half], more) | self._media_of(group[half:], more)

    def presigned_media(self, media_ids: list[int]) -> dict[int, dict[str, Any]]:
        """Return the media that exist, with addresses instead of their files' paths.

        The addresses are valid for an hour, and secret. Everybody who may see a media may request them.
        """
        return self.media(media_ids, presigned=ADDRESS_SECONDS)

    def select_media(self, fields: str | None = None, **filters: Any) -> Iterator[dict[str, Any]]:
        """Yield the media that Tator's filters select, by id, in pages.

        A row without a usable id is left out.

        Args:
            fields: the fields of the rows, separated by commas; None for all.
            filters: the filters.
        """
        what = "list media"
        only = {} if fields is None else {"fields": fields}  # which the count does not know
        listed = partial(self._api.get_media_list, self.id, sort_by=["$id"], **only, **filters)

        def halved(stop: int, **start: int) -> tuple[int, Any]:
            count = classified(what, self.host, partial(self._api.get_media_count, self.id, **filters, **start))
            with rows.used_for(what):
                size = max(1, min(stop, values.whole(count, "the number of media")) // 2)
            return size, classified(what, self.host, partial(listed, stop=size, **start))

        return self._by_pages(what, listed, MEDIA_PER_PAGE, halved, leave_out_odd=True)

    def sections(self) -> list[dict[str, Any]]:
        """Return the project's sections: folders, playlists and saved searches."""
        return self._rows("list sections", lambda: self._api.get_section_list(self.id))

    def media_anywhere(self, media_id: int) -> dict[str, Any] | None:
        """Return a media of any project; None if it does not exist or this user may not see it."""
        try:
            what = f"read media {media_id}"
            return rows.single(what, self._read(what, lambda: self._api.get_media(media_id)))
        except Refused as refusal:
            if refusal.status in (403, 404):
                return None
            raise

    def media_types(self) -> dict[int, dict[str, Any]]:
        """Return the project's media types, by id."""
        kinds = self._rows("list media types", lambda: self._api.get_media_type_list(self.id))
        return {kind["id"]: kind for kind in kinds}

    def addresses(self, paths: Sequence[str]) -> list[str]:
        """Return presigned addresses for stored files, valid for at least an hour; secret, as they are signed."""
        call = partial(self._api.get_download_info, self.id, {"keys": paths})
        what = "get a download address"
        answer = self._read(what, call, needs=rights.TRANSFER_ANYWHERE)
        with rows.used_for(what):
            addresses = [rows.address(signed) for signed in values.array(answer, "it")]
            if len(addresses) != len(paths):
                raise values.OddValue("the number of addresses", len(addresses), str(len(paths)))
        return addresses

    def localization_types(self) -> list[dict[str, Any]]:
        """Return the project's localization types."""
        return self._rows("list localization types", lambda: self._api.get_localization_type_list(self.id))

    def versions(self) -> list[dict[str, Any]]:
        """Return the project's versions."""
        return self._rows("list versions", lambda: self._api.get_version_list(self.id))

    def create_version(self, name: str, description: str) -> None:
        """Create a version; may raise LostAnswer."""
        spec = {"name": name, "description": description, "show_empty": False}
        self._write("create a version", lambda: self._api.create_version(self.id, spec))

    def describe_version(self, version_id: int, description: str) -> None:
        """Change a version's description."""
        body = {"description": description}
        self._read("describe the version", lambda: self._api.update_version(version_id, body), needs=rights.EDIT)

    def boxes(
        self, media_id: int, type_id: int, version_id: int, *, bases: Sequence[int] = (), **more: int
    ) -> Iterator[dict[str, Any]]:
        """Yield the latest revision of every box of the media, including tombstones of deleted boxes.

        With the `bases` of the version, their boxes are yielded too, except those that a box of the version replaces.
        They are read in pages. A box that somebody edits at the same time may be yielded twice, the newer revision
        last; no box is left out, as a new revision gets a higher id.
        """
        filters = {"type": type_id, "version": [*bases, version_id], "show_deleted": 1, **more}
        listed = partial(self._api.get_localization_list, self.id, media_id=[media_id], **filters)
        by_id = partial(self._api.get_localization_list_by_id, self.id, {"media_ids": [media_id]}, **filters)
        what = f"list boxes of media {media_id}"
        pages = self._by_pages(what, listed, BOXES_PER_PAGE, self._at_once(what, by_id))
        return (rows.box(what, row) for row in pages)

    def count_boxes(self, media_id: int, type_id: int, version_id: int, *, bases: Sequence[int] = ()) -> int:
        """Return the number of the media's boxes, without deleted ones; `bases` as in boxes."""
        filters = {"media_id": [media_id], "type": type_id, "version": [*bases, version_id]}
        what = f"count boxes of media {media_id}"
        answer = self._read(what, partial(self._api.get_localization_count, self.id, **filters))
        with rows.used_for(what):
            return values.whole(answer, "it")

    def create_boxes(self, specs: list[dict[str, Any]]) -> None:
        """Create boxes, at most 500; may raise LostAnswer. After a refusal all of them may exist, or none."""
        self._write("create boxes", lambda: self._api.create_localization_list(self.id, specs))

    def prune_rows(self, media_id: int, version_id: int, ids: list[int]) -> None:
        """Remove rows of boxes by their ids, without a tombstone; may raise LostAnswer.

        Other rows of the same boxes are kept, and so are edits that people made meanwhile. The server refuses, which
        raises LostAnswer too, unless all these rows exist.

        Args:
            media_id: the media of the boxes.
            version_id: the version of the boxes.
            ids: the ids of the rows.
        """
        if not ids:
            raise ValueError("an empty list would match every box")
        body = {"ids": ids, "prune": 1, "count": len(ids)}
        filters = {"media_id": [media_id], "version": version_id, "show_all_marks": 1, "show_deleted": 1}
        try:
            self._write("remove stale boxes", lambda: self._api.delete_localization_list(self.id, body, **filters))
        except Refused as refusal:
            if "Safety check failed" not in str(refusal):
                raise
            raise LostAnswer("remove stale boxes: somebody changed some of them in between") from None

    def set_attributes(
        self, media_ids: list[int], attributes: dict[str, Any], what: str, *, remaining: Callable[[], list[int]]
    ) -> None:
        """Set attributes of media of one type.

        Args:
            media_ids: the media.
            attributes: the values by attribute; None removes the value.
            what: the purpose, for messages.
            remaining: function that returns the media whose attributes are not set yet; called before each try except
                the first.
        """
        if not media_ids:
            raise ValueError("an empty list would match every media")
        ids = media_ids
        changes: dict[str, Any] = {
            "attributes": {name: value for name, value in attributes.items() if value is not None},
            "null_attributes": [name for name, value in attributes.items() if value is None],
        }
        changes = {key: some for key, some in changes.items() if some}

        def update_ids() -> None:
            nonlocal ids
            ids = remaining()

        def write() -> Any:
            return self._api.update_media_list(self.id, {"ids": ids, **changes}) if ids else {}

        self._read(what, write, needs=rights.EDIT, before_next=update_ids)

    def _rows(self, what: str, call: Callable[[], Any]) -> list[dict[str, Any]]:
        return rows.listed(what, self._read(what, call))

    def _read(
        self,
        what: str,
        call: Callable[[], Any],
        *,
        needs: str = rights.VIEW,
        before_next: Callable[[], None] | None = None,
    ) -> Any:
        """Make a call that can be repeated without harm, and that needs the right `needs` in the project.

        `before_next` is called before each try except the first.
        """
        tries, is_first = 0, True

        def once() -> Any:
            nonlocal tries, is_first
            if before_next is not None and not is_first:
                before_next()
            is_first = False
            try:
                return self._paced(what, call, needs)
            except UnexplainedRefusal as fault:
                tries += 1
                if tries >= UNEXPLAINED_TRIES:
                    raise fault.refusal from None
                raise

        return self._retrying(what, once)

    def _write(self, what: str, call: Callable[[], Any], *, needs: str = rights.EDIT) -> None:
        """Make a call once, and again while it is throttled: only then it is certain that nothing was written."""

        def once() -> None:
            try:
                self._paced(what, call, needs)
            except Throttled:
                raise
            except UnexplainedRefusal as fault:
                raise fault.refusal from None
            except Transient as fault:
                # Counted from the end of the connection, as the server may continue after the client's time-out.
                until = 0.0 if fault.ended else time.monotonic() + answer_seconds()
                raise LostAnswer(str(fault), until, Outage(self.host, what) if fault.of_server else None) from None

        self._retrying(what, once)

    def _retrying(self, what: str, call: Callable[[], Any]) -> Any:
        """Repeat a call for `patience()` seconds, or less if another job has already waited for the server."""
        outage = Outage(self.host, what)
        why = ""

        def give_up(fault: BaseException, tries: int, seconds: float) -> bool:
            nonlocal why
            if isinstance(fault, NotReached) and seconds >= NEVER_ANSWERED_SECONDS and outage.never_answered():
                return True
            if isinstance(fault, Transient) and fault.of_server and tries >= TRIES and outage.is_noted():
                why = ", as another job of this run has waited already"
                return True
            return False

        started = time.monotonic()
        try:
            answer = retrying(Transient, give_up=give_up)(call)
        except Transient as fault:
            if fault.of_server:
                outage.note(str(fault))
            remedy = "run again later"
            if isinstance(fault, NotReached) and outage.never_answered():
                # With a proxy, only the connection to the proxy can fail in this way.
                remedy += f", or correct {proxy_variable(self.host) or 'tator.host'}: nothing has answered there yet"
            seconds = time.monotonic() - started
            raise ServerUnavailable(f"{fault}; tried for {seconds:.0f} s{why}; {remedy}") from None
        outage.clear()
        return answer

    def _paced(self, what: str, call: Callable[[], Any], needs: str) -> Any:
        return self._pace.call(lambda: classified(what, self.host, call, needs=needs), throttled=Throttled)
