"""Take back the values that runs in a folder wrote into attributes of media which have none by now."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.server import rows
from scripts.lib.server.api import Project
from scripts.lib.uploads.media_attributes import Outcome, Task, attributes_of, set_attributes
from scripts.lib.uploads.written_values import WrittenValues

_Media = Mapping[str, Any]


@dataclass(frozen=True)
class TakenBack:
    """Media that have no value any more, with values of earlier runs; one that a person changed since then stays.

    Attributes:
        of_media: function that returns the ids of the media in Tator.
        attributes: the names of the attributes.
        written: the values that the folder's runs wrote.
        what: the noun for the values in messages, such as `mark`.
    """

    of_media: Callable[[], Iterable[int]]
    attributes: Collection[str]
    written: WrittenValues
    what: str

    def media_ids(self) -> Iterator[int]:
        """Yield those of the media into which a run may have written."""
        return filter(self.written.known, self.of_media())

    def run(self, project: Project, record: Path) -> Outcome:
        """Set the attributes to their defaults, or to nothing, and verify that.

        Args:
            project: the project of the media.
            record: the file with the outcome.

        Raises:
            ServerError: see set_attributes.
        """
        kinds = project.media_types()

        def defaults(media: _Media) -> dict[str, Any]:
            type_id = media.get("type")
            kind = kinds.get(type_id) if isinstance(type_id, int) else None
            if kind is None:
                return {}
            rows.require_type("media type", kind)
            found = {one["name"]: one.get("default") for one in kind.get("attribute_types") or []}
            return {name: found[name] for name in self.attributes if name in found}

        def due(media: _Media) -> dict[str, Any]:
            current = attributes_of(media)
            return {
                name: default
                for name, default in defaults(media).items()
                if current.get(name) != default and self.written.has(media["id"], name, current.get(name))
            }

        task = Task(
            action=f"take back the {self.what}",
            refused=f"the removal of its {self.what}",
            missing=f"default instead of its {self.what}",
            not_kept="the defaults of",
            due=due,
            is_set=lambda media, wanted: all(attributes_of(media).get(name) == wanted[name] for name in wanted),
            # Otherwise a person's value that equals the removed one would be taken back by a later run.
            on_success=lambda media: self.written.forget(media["id"], self.attributes),
        )
        return set_attributes(project, self.media_ids(), task, record)
