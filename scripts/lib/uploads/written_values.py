"""Store the values that runs in this folder wrote into attributes of media, to distinguish them from people's values.

The file is not an output of a rule, as Snakemake removes outputs before a rule runs again. Values are stored before
they are written into Tator, as a job that is killed may have written them.

The first line of the file is the project. Each later line is a media and its values; the last line of a media is valid.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, replacing
from scripts.lib.records.records_on_disk import RecordsOnDisk
from scripts.lib.text import json_text

# A count, or the text of the mark.
_Value = int | str
# The values that the workflow may have written into a media, by attribute.
_Values = dict[str, list[_Value]]


class WrittenValues:
    """The values that the workflow may have written, by media id and attribute."""

    def __init__(self, path: Path, host: str, project_id: int) -> None:
        """Read the values written into this project; none if the folder's last run was for another project.

        Args:
            path: the file, which may not exist yet.
            host: Tator's address.
            project_id: the project.

        Raises:
            PipelineError: the file was not written by this module.
        """
        self._path, self._place = path, [host, project_id]
        self._is_written = False
        self._known = RecordsOnDisk()
        try:
            if path.exists():
                self._known.update(_read(path, self._place))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            self.close()
            raise PipelineError(
                f"{path}: it is not what a run writes there; remove it: then values other than the default "
                "count as people's"
            ) from None

    def close(self) -> None:
        """Close the temporary file of the values; the file at `path` stays."""
        self._known.close()

    def has(self, media_id: int, attribute: str, value: Any) -> bool:
        """Return whether an attribute's value may be one that the workflow wrote."""
        return not isinstance(value, bool) and value in self._of(media_id).get(attribute, [])

    def known(self, media_id: int) -> bool:
        """Return whether the workflow may have written a value into a media."""
        return any(self._of(media_id).values())

    def begin(self, changes: Mapping[int, Mapping[str, _Value]]) -> None:
        """Store values that are about to be written, in addition to earlier ones, which may remain if writing fails."""
        updated = []
        for media_id, of_media in changes.items():
            known = self._of(media_id)
            more = {name: list(dict.fromkeys([*known.get(name, []), value])) for name, value in of_media.items()}
            updated.append((media_id, known | more))
        self._store(updated)

    def end(self, changes: Mapping[int, Mapping[str, _Value]]) -> None:
        """Store values that were written; earlier ones no longer count as the workflow's."""
        self._store(
            [
                (media_id, self._of(media_id) | {name: [value] for name, value in of_media.items()})
                for media_id, of_media in changes.items()
            ]
        )

    def forget(self, media_id: int, attributes: Collection[str]) -> None:
        """Store that none of the workflow's values is in these attributes of a media any more."""
        known = self._of(media_id)
        if any(known.get(name) for name in attributes):
            self._store([(media_id, known | {name: [] for name in attributes if name in known})])

    def _of(self, media_id: int) -> _Values:
        found: _Values = self._known.get(media_id) or {}
        return found

    def _store(self, updated: list[tuple[int, _Values]]) -> None:
        """Write values to the disk: the first call writes the whole file again, later calls append to it."""
        if not updated:
            return
        self._known.update(updated)
        if self._is_written:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(_lines(updated))
                stream.flush()
                os.fsync(stream.fileno())
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as stream:
            stream.write(json.dumps({"place": self._place}) + "\n")
            stream.writelines(_lines(self._known.items()))
        self._is_written = True


def _lines(known: Iterable[tuple[int, _Values]]) -> Iterator[str]:
    return (json.dumps(one) + "\n" for one in known)


def _read(path: Path, place: list[Any]) -> Iterator[tuple[int, _Values]]:
    """Yield the media in a file, with their values; none if the file is of another project.

    Raises:
        ValueError: the file was not written by this module; other errors are possible, see __init__.
    """
    with path.open(encoding="utf-8") as stream:
        try:
            head = json_text.parse(stream.readline())
        except ValueError:  # an earlier version wrote one JSON object
            content = read_json(path)
            known = content["written"] if content.get("place") == place else {}
            yield from ((int(media_id), _checked(of_media)) for media_id, of_media in known.items())
            return
        if head.get("place") == place:
            for line in stream:
                if line.endswith("\n"):  # otherwise the job was killed while it wrote the line, before it sent values
                    media_id, of_media = json_text.parse(line)
                    yield int(media_id), _checked(of_media)


def _checked(values: Any) -> _Values:
    return {
        str(name): [value if isinstance(value, str) else int(value) for value in some] for name, some in values.items()
    }
