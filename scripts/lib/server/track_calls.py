"""The calls to Tator about states, of which tracks are those whose type is associated with localizations.

Faults and retries are as in api.py.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from scripts.lib.server import rows, values
from scripts.lib.server.faults import LostAnswer, Refused
from scripts.lib.server.paged_lists import PagedLists

# Fewer than boxes, as each track has a list of its boxes.
STATES_PER_PAGE = 2000


class TrackCalls(PagedLists):
    """The project's calls about states."""

    id: int
    _api: Any

    @abstractmethod
    def _write(self, what: str, call: Callable[[], Any]) -> None: ...

    def state_types(self) -> list[dict[str, Any]]:
        """Return the project's state types."""
        what = "list state types"
        return rows.listed(what, self._read(what, lambda: self._api.get_state_type_list(self.id)))

    def states(
        self, media_id: int, type_id: int, version_id: int, *, bases: Sequence[int] = (), **more: int
    ) -> Iterator[dict[str, Any]]:
        """Yield the latest revision of each state of the media, including tombstones that have a media.

        A state's other media are not returned. With the `bases` of the version, their states are yielded too, except
        those that a state of the version replaces.
        """
        filters = {"type": type_id, "version": [*bases, version_id], "show_deleted": 1, **more}
        listed = partial(self._api.get_state_list, self.id, media_id=[media_id], **filters)
        by_id = partial(self._api.get_state_list_by_id, self.id, {"media_ids": [media_id]}, **filters)
        what = f"list tracks of media {media_id}"
        pages = self._by_pages(what, listed, STATES_PER_PAGE, self._at_once(what, by_id))
        return (rows.track(what, row) for row in pages)

    def states_of(self, identities: list[str], type_id: int, version_id: int, **more: int) -> list[dict[str, Any]]:
        """Return the latest revision of the states with these elemental ids, including tombstones.

        Raises:
            ValueError: no id is given, which Tator would read as all states.
        """
        if not identities:
            raise ValueError("an empty list would match every track")
        return self._states_by(
            {"elemental_ids": identities}, type=type_id, version=[version_id], show_deleted=1, **more
        )

    def states_with_boxes(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return the states that refer to these rows of boxes, of any type and in any version, without deleted ones.

        A state's other boxes are not returned.

        Raises:
            ValueError: no id is given, which Tator would read as all states.
        """
        if not ids:
            raise ValueError("an empty list would match every track")
        return self._states_by({"localization_ids": list(ids)})

    def _states_by(self, ids: dict[str, list[Any]], **filters: Any) -> list[dict[str, Any]]:
        answer = self._read("list tracks", partial(self._api.get_state_list_by_id, self.id, ids, **filters))
        with rows.used_for("list tracks"):
            return [rows.track("list tracks", row) for row in values.array(answer, "it")]

    def count_states(self, media_id: int, type_id: int, version_id: int) -> int:
        """Return the number of the media's states, without deleted ones."""
        filters = {"media_id": [media_id], "type": type_id, "version": [version_id]}
        what = f"count tracks of media {media_id}"
        answer = self._read(what, partial(self._api.get_state_count, self.id, **filters))
        with rows.used_for(what):
            return values.whole(answer, "it")

    def create_tracks(self, specs: list[dict[str, Any]]) -> None:
        """Create states, at most 500; may raise LostAnswer.

        After a refusal all, some or none of them may exist, with or without their boxes.
        """
        self._write("create tracks", lambda: self._api.create_state_list(self.id, specs))

    def prune_track(self, version_id: int, identity: str, revisions: int) -> None:
        """Remove a state with all its revisions and without a tombstone; may raise LostAnswer.

        The server refuses, which raises LostAnswer too, unless the state has exactly this number of revisions. So a
        state that a person has edited or deleted meanwhile is kept: its tombstone may have no media, and without the
        other revisions it would not be found. Several states in one request are not safe: only their total is compared.

        Args:
            version_id: the version of the state.
            identity: the state's elemental id.
            revisions: number of its revisions.
        """
        self._prune_states({"elemental_ids": [identity]}, version_id, revisions)

    def prune_track_rows(self, version_id: int, ids: list[int]) -> None:
        """Remove rows of states by their ids, without a tombstone; may raise LostAnswer, like Project.prune_rows.

        Args:
            version_id: the version of the states.
            ids: the ids of the rows.
        """
        if not ids:
            raise ValueError("an empty list would match every track")
        self._prune_states({"ids": ids}, version_id, len(ids))

    def _prune_states(self, which: dict[str, Any], version_id: int, count: int) -> None:
        body = {**which, "prune": 1}
        filters = {"version": [version_id], "show_all_marks": 1, "show_deleted": 1, "count": count}
        try:
            self._write("remove stale tracks", lambda: self._api.delete_state_list(self.id, body, **filters))
        except Refused as refusal:
            if "Safety check failed" not in str(refusal):
                raise
            raise LostAnswer("remove stale tracks: somebody changed some of them in between") from None
