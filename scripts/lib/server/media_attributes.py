"""Attributes of many media, set in few calls; what Tator refuses for one media is found and kept apart."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.lib.errors import MediaServerError, PipelineError
from scripts.lib.retry import patience
from scripts.lib.server import rows, values
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Refused, TokenRefused, Unusable

_log = logging.getLogger(__name__)


class AttributeWrites:
    """Sets attributes of any number of media, and finds those for which Tator refuses them."""

    def __init__(self, project: Project, what: str, words: str) -> None:
        """Prepare; asks nothing yet.

        Args:
            project: where the media are.
            what: what a call does, for messages, such as `mark media`.
            words: what of one media is refused, such as `its mark`.
        """
        self._project, self._what, self._words = project, what, words
        self._errors: dict[int, PipelineError] = {}
        self._accepted_at = 0.0

    def send(self, due: Iterable[tuple[dict[str, Any], Mapping[str, Any]]]) -> dict[int, PipelineError]:
        """Set attributes, and return what went wrong, by media id.

        One call sets the same values for at most 1,000 media of one type: Tator refuses a mixture of types.

        Args:
            due: media as Tator lists them, each with the values to set, by attribute.
        """
        self._accepted_at = time.monotonic()
        for (type_id, wanted), media_ids in self._alike(due).items():
            for at in range(0, len(media_ids), IDS_PER_CALL):
                self._set(media_ids[at : at + IDS_PER_CALL], dict(wanted))
            _log.info("asked to %s: %d of type %d", self._what, len(media_ids), type_id)
        return self._errors

    def _alike(
        self, due: Iterable[tuple[dict[str, Any], Mapping[str, Any]]]
    ) -> dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]]:
        alike: dict[tuple[int, tuple[tuple[str, Any], ...]], list[int]] = defaultdict(list)
        for media, wanted in due:
            try:
                with rows.used_for(f"media {media['id']}"):
                    type_id = values.whole(media.get("type"), "type")
                alike[type_id, tuple(sorted(wanted.items()))].append(media["id"])
            except Unusable as fault:
                self._errors[media["id"]] = fault
        return alike

    def _set(self, media_ids: list[int], wanted: dict[str, Any]) -> None:
        """Set the attributes; where Tator refuses it for several, halve their list to find those that it is about.

        Where nothing was accepted for as long as the patience it is about all of them.
        """
        try:
            self._project.set_attributes(media_ids, wanted, self._what)
            self._accepted_at = time.monotonic()
        except TokenRefused:
            raise
        except Refused as refusal:
            if len(media_ids) == 1 or time.monotonic() - self._accepted_at >= patience():
                refused = MediaServerError(f"{self._words} was refused: {refusal}")
                self._errors |= dict.fromkeys(media_ids, refused)
                return
            half = len(media_ids) // 2
            self._set(media_ids[:half], wanted)
            self._set(media_ids[half:], wanted)
