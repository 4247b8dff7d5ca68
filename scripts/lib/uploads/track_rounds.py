"""Write one media's changes of tracks to Tator in rounds, until nothing is left to do; see rounds.py."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from scripts.lib.progress import Progress
from scripts.lib.server.api import Project
from scripts.lib.server.faults import Refused
from scripts.lib.server.unanswered import Notes
from scripts.lib.uploads.known_attributes import with_current_defaults
from scripts.lib.uploads.origin import Destination
from scripts.lib.uploads.rounds import Rounds, no_check
from scripts.lib.uploads.track_origin import PlacedTrack, TrackDestination, TrackToUpload, is_unfinished
from scripts.lib.uploads.track_plan import BoxRows, States, TrackPlan, plan_tracks, rows_in_peoples_tracks

# Tator refuses more in one request.
TRACKS_PER_CALL = 500
# The most boxes whose tracks are listed in one request.
BOX_IDS_PER_CALL = 1_000
# The most boxes of all tracks of one request; 10,000 take two seconds.
BOXES_PER_CALL = 10_000
# The most times that further states are listed because the plan needs them: each time there are fewer.
LISTS = 5


class TrackReconciliation(Rounds[TrackPlan]):
    """Makes the tracks of one media in Tator equal to the wanted ones.

    A track that has to change is removed and made again: Tator refuses the removal if a person has edited the track in
    between, while a second revision would override the edit.
    """

    def __init__(
        self,
        project: Project,
        media_id: int,
        tracks: Sequence[TrackToUpload],
        where: TrackDestination,
        boxes_where: Destination,
        *,
        least: int,
        check_type: Callable[[bool], None] = no_check,
        notes: Notes | None = None,
    ) -> None:
        """Prepare for the tracks of one media, without any request.

        Args:
            project: the project.
            media_id: the media.
            tracks: the wanted tracks.
            where: the version and the state type.
            boxes_where: the version and the box type of the tracks' boxes.
            least: the least number of boxes of a track.
            check_type: see Rounds.
            notes: see Rounds.
        """
        super().__init__(project, media_id, check_type, notes)
        self._where, self._boxes_where, self._least = where, boxes_where, least
        self._wanted = {track.key(where, boxes_where): track for track in tracks}
        self._earlier_keys = {track.earlier_key(where, boxes_where): key for key, track in self._wanted.items()}
        self._requested: set[str] = set()  # states to make: a refused request may have made them

    def compare(self) -> TrackPlan:
        """Return the differences between the desired state and Tator; set `listed`."""
        boxes = self._box_rows()
        states = list_states(self._project, self._media_id, self._where)
        todo = self._plan(boxes, states)
        listed = {row["elemental_id"] for row in states.every}
        # States without a media, and tombstones of several deleted at once, are found only by their elemental ids.
        for _ in range(LISTS):
            not_listed = (todo.create.keys() | self._unanswered.made() | self._requested) - listed
            if not not_listed:
                break
            listed |= not_listed
            states.add(states_of(self._project, self._where, sorted(not_listed)))
            todo = self._plan(boxes, states)
        if todo.doubtful:
            self._where = with_current_defaults(self._where, "state type", self._project.state_types())
            todo = self._plan(boxes, states)
        self.listed = states.latest
        return todo

    def _box_rows(self) -> BoxRows:
        where = self._boxes_where
        listed = self._project.boxes(self._media_id, where.type_id, where.version_id, show_all_marks=1)
        return BoxRows((box for track in self._wanted.values() for box in track.boxes), listed, where)

    def _plan(self, boxes: BoxRows, states: States) -> TrackPlan:
        return plan_tracks(self._wanted, boxes, states, self._where, least=self._least, earlier_keys=self._earlier_keys)

    def _carry_out(self, todo: TrackPlan) -> None:
        """Remove surplus rows and stale tracks, and create missing tracks."""
        self._remove(todo.surplus, {identity: todo.revisions[identity] for identity in todo.remove})
        progress, made = Progress("tracks", what=f"media {self._media_id}: "), 0
        for tracks in _portions(list(todo.create.values())):
            specs = [track.spec(self._where) for track in tracks]
            makes = [spec["elemental_id"] for spec in specs]
            self._requested.update(makes)
            self._send(partial(self._project.create_tracks, specs), makes=makes)
            made += len(specs)
            progress.report(made, len(todo.create))

    def _remove(self, surplus: Sequence[int], stale: Mapping[str, Sequence[int]]) -> None:
        project, version_id = self._project, self._where.version_id
        for at in range(0, len(surplus), TRACKS_PER_CALL):
            self._send(partial(project.prune_track_rows, version_id, list(surplus[at : at + TRACKS_PER_CALL])))
        for identity, rows in stale.items():
            self._send(partial(project.prune_track, version_id, identity, len(rows)), removes=[identity])

    def _is_temporary(self, refusal: Refused) -> bool:
        """Return whether to try again, also if a box's row was removed before the write."""
        return super()._is_temporary(refusal) or "is not present in table" in str(refusal)

    def _clear_up(self, after: TrackPlan) -> None:
        """Remove the states that a refused request created without their boxes."""
        unfinished = {row["elemental_id"] for row in self.listed if is_unfinished(row)}
        self._remove([], {identity: after.revisions[identity] for identity in after.remove if identity in unfinished})


def rows_in_use(
    project: Project, media_id: int, boxes_where: Destination, where: TrackDestination | None, rows: Sequence[int]
) -> set[int]:
    """Return which rows of boxes people's tracks refer to, of any type and in any version.

    Args:
        project: the project.
        media_id: the media of the boxes.
        boxes_where: the version and the box type of the boxes.
        where: the version and the state type of the workflow's tracks; None if no tracks are uploaded.
        rows: the ids of the rows.
    """
    with_rows = [
        state
        for at in range(0, len(rows), BOX_IDS_PER_CALL)
        for state in project.states_with_boxes(rows[at : at + BOX_IDS_PER_CALL])
    ]
    found = {row for state in with_rows for row in state["localizations"] if state["version"] != boxes_where.version_id}
    by_type: dict[int, set[str]] = defaultdict(set)
    for state in with_rows:
        if state["version"] == boxes_where.version_id:
            by_type[state["type"]].add(state["elemental_id"])
    for type_id, identities in by_type.items():
        names = boxes_where.species_attribute, boxes_where.confidence_attribute
        # An earlier run may have uploaded tracks, or tracks of another type.
        to = where if where and where.type_id == type_id else TrackDestination(boxes_where.version_id, type_id, *names)
        states = list_states(project, media_id, to)
        if of_other_media := identities - {row["elemental_id"] for row in states.latest}:
            states.add(states_of(project, to, sorted(of_other_media)))
        found |= rows_in_peoples_tracks(
            states, to, lambda to: with_current_defaults(to, "state type", project.state_types())
        )
    return found


def list_states(project: Project, media_id: int, where: TrackDestination) -> States:
    """Return the states of a media.

    They are listed by the media, and then by the elemental ids that were found, as revisions of deleted states may have
    no media. A state with revisions that is not in the list of the latest ones was merged into another.
    """
    by_media = project.states(media_id, where.type_id, where.version_id, show_all_marks=1)
    return states_of(project, where, sorted({row["elemental_id"] for row in by_media}))


def states_of(project: Project, where: TrackDestination, identities: Sequence[str]) -> States:
    """Return the states of these elemental ids."""
    found = States()
    for at in range(0, len(identities), TRACKS_PER_CALL):
        some = list(identities[at : at + TRACKS_PER_CALL])
        listed = project.states_of(some, where.type_id, where.version_id)
        only = [row for row in listed if row["mark"] == 0]
        found.add(States(listed, only))
        known = {row["elemental_id"] for row in only}
        if with_revisions := [identity for identity in some if identity not in known]:
            found.every += project.states_of(with_revisions, where.type_id, where.version_id, show_all_marks=1)
    return found


def _portions(tracks: Sequence[PlacedTrack]) -> Iterator[list[PlacedTrack]]:
    """Yield the tracks of each request."""
    portion: list[PlacedTrack] = []
    boxes = 0
    for track in tracks:
        if portion and (len(portion) == TRACKS_PER_CALL or boxes + len(track.rows) > BOXES_PER_CALL):
            yield portion
            portion, boxes = [], 0
        portion.append(track)
        boxes += len(track.rows)
    if portion:
        yield portion
