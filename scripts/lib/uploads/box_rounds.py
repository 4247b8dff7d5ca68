"""Make the boxes of one media in Tator equal to the wanted ones, in rounds."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from scripts.lib.progress import Progress
from scripts.lib.server.api import Project
from scripts.lib.server.unanswered import Notes
from scripts.lib.uploads.known_attributes import with_current_defaults
from scripts.lib.uploads.reconcile import Box, Destination, ReconcilePlan, latest, plan
from scripts.lib.uploads.rounds import Rounds, no_check

# Tator refuses more in one request.
BOXES_PER_CALL = 500


class Reconciliation(Rounds[ReconcilePlan]):
    """Makes the boxes of one media in Tator equal to the wanted ones."""

    def __init__(
        self,
        project: Project,
        media_id: int,
        boxes: list[Box],
        where: Destination,
        overlap_limit: float,
        *,
        rows_in_use: Callable[[Sequence[int]], Collection[int]] = lambda _: (),
        check_type: Callable[[bool], None] = no_check,
        notes: Notes | None = None,
    ) -> None:
        """Prepare for the boxes of one media, without any request.

        Args:
            project: the project.
            media_id: the media.
            boxes: the wanted boxes.
            where: the version and the box type.
            overlap_limit: IoU with a person's box above which a new box is not added.
            rows_in_use: function that returns which rows people's tracks refer to; called only before a removal.
            check_type: see Rounds.
            notes: see Rounds.
        """
        super().__init__(project, media_id, check_type, notes)
        self._boxes, self._where, self._overlap_limit = boxes, where, overlap_limit
        self._rows_in_use = rows_in_use

    def compare(self) -> ReconcilePlan:
        """Return the differences between the desired state and Tator; set `listed`."""
        listed, complete = list(self._list()), False
        todo = self._plan(listed)
        if todo.doubtful:
            self._where = with_current_defaults(self._where, "box type", self._project.localization_types())
            todo = self._plan(listed)
        if todo.unclear:
            listed, complete = list(self._list(show_all_marks=1)), True
            todo = self._plan(listed, complete=complete)
        if (to_remove := self._to_remove(todo, listed)) and (in_use := self._rows_in_use(to_remove)):
            todo = self._plan(listed, complete=complete, in_use=in_use)
        self.listed = [row for same in latest(listed).values() for row in same]
        return todo

    @staticmethod
    def _to_remove(todo: ReconcilePlan, listed: Sequence[dict[str, Any]]) -> list[int]:
        """Return the ids of all rows of the boxes of which a row is to be removed."""
        surplus = set(todo.surplus)
        boxes = {*todo.remove, *(row["elemental_id"] for row in listed if row["id"] in surplus)}
        return [row["id"] for row in listed if row["elemental_id"] in boxes]

    def _list(self, **more: Any) -> Iterator[dict[str, Any]]:
        return self._project.boxes(self._media_id, self._where.type_id, self._where.version_id, **more)

    def _plan(
        self, listed: list[dict[str, Any]], *, complete: bool = False, in_use: Collection[int] = ()
    ) -> ReconcilePlan:
        return plan(
            self._boxes,
            listed,
            self._where,
            overlap_limit=self._overlap_limit,
            complete=complete,
            in_use=in_use,
        )

    def _carry_out(self, todo: ReconcilePlan) -> None:
        """Remove surplus rows, create missing boxes, and remove stale ones."""
        project, media_id, version_id = self._project, self._media_id, self._where.version_id
        for at in range(0, len(todo.surplus), BOXES_PER_CALL):
            rows = todo.surplus[at : at + BOXES_PER_CALL]
            self._send(partial(project.prune_rows, media_id, version_id, rows))
        new = iter(todo.create.values())
        progress, made = Progress("boxes", what=f"media {media_id}: "), 0
        while specs := [box.spec(self._where) for box in islice(new, BOXES_PER_CALL)]:
            self._send(partial(project.create_boxes, specs), makes=[spec["elemental_id"] for spec in specs])
            made += len(specs)
            progress.report(made, len(todo.create))
        for at in range(0, len(todo.remove), BOXES_PER_CALL):
            stale = todo.remove[at : at + BOXES_PER_CALL]
            rows = [row for identity in stale for row in todo.revisions[identity]]
            self._send(partial(project.prune_rows, media_id, version_id, rows), removes=stale)
