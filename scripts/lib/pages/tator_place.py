"""The place of a run's boxes in Tator, to which pages link."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TatorPlace:
    """The place of a run's boxes in Tator.

    Attributes:
        host: Tator's address.
        project_id: the project.
        version: the version of the boxes; None if it is not known.
    """

    host: str
    project_id: int
    version: int | None

    def address(self, media_id: int, frame: int | None = None) -> str:
        """Return the address of Tator's page of a media, at a frame and with the version's boxes."""
        parameters = (("frame", frame), ("version", self.version))
        query = "&".join(f"{key}={value}" for key, value in parameters if value is not None)
        return f"{self.host}/{self.project_id}/annotation/{media_id}" + (f"?{query}" if query else "")
