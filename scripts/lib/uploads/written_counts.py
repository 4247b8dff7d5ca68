"""Store what this folder's runs wrote into attributes of media, to distinguish a person's value from the workflow's.

It stands in a file of the run's folder that no rule makes, since Snakemake removes what a rule makes before the rule
runs again. What is about to be written is noted first: a job that is killed may have written it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json


@dataclass
class WrittenCounts:
    """The values that may stand in attributes because the workflow wrote them, by media id and attribute."""

    path: Path
    place: list[Any]
    _values: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, host: str, project_id: int) -> "WrittenCounts":
        """Return what was written into this project; nothing if the folder last worked with another one.

        Raises:
            PipelineError: the file is not what this module writes.
        """
        place = [host, project_id]
        try:
            content = read_json(path) if path.exists() else {}
            known = content["written"] if content.get("place") == place else {}
            found = {
                str(int(media_id)): {str(name): [int(value) for value in some] for name, some in of_media.items()}
                for media_id, of_media in known.items()
            }
        except (ValueError, LookupError, TypeError, AttributeError):
            raise PipelineError(
                f"{path}: it is not what write_counts writes there; remove it: then values other than the default "
                "count as people's"
            ) from None
        return cls(path, place, found)

    def has(self, media_id: int, attribute: str, value: Any) -> bool:
        """Return whether a value that stands may be one that the workflow wrote."""
        known = self._values.get(str(media_id), {}).get(attribute, [])
        return not isinstance(value, bool) and value in known

    def begin(self, changes: Mapping[int, Mapping[str, int]]) -> None:
        """Note values that are about to be written, beside those before, one of which may stay."""
        for media_id, of_media in changes.items():
            known = self._values.setdefault(str(media_id), {})
            for name, value in of_media.items():
                known[name] = list(dict.fromkeys([*known.get(name, []), value]))
        if changes:
            self._write()

    def end(self, changes: Mapping[int, Mapping[str, int]]) -> None:
        """Note values that stand now: those before are no longer the workflow's."""
        for media_id, of_media in changes.items():
            self._values.setdefault(str(media_id), {}).update({name: [value] for name, value in of_media.items()})
        if changes:
            self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"place": self.place, "written": self._values})
