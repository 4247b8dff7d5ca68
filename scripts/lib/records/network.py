"""The source of the network, and its files."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from scripts.lib.records.keys import Sha256
from scripts.lib.records.record_files import Key

Source = Literal["directory", "data_image", "archive"]
FetchedBy = Literal["docker", "registry", "archive"]


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """A file of the network."""

    sha256: Sha256
    size: Annotated[int, Key("Bytes.", part="count")]


@dataclass(frozen=True, kw_only=True)
class ProvenanceRecord:
    """The source of the network."""

    source: Source
    reference: Annotated[str, Key("The folder, the image's name, or the file.")]
    fetched_by: Annotated[FetchedBy | None, Key(schema={"enum": ["docker", "registry", "archive", None]})] = None
    digest: Annotated[str | None, Key("Digest of the data image.")]
    image_id: str | None = None
    files: Annotated[dict[str, NetworkFile], Key("The network's files, by name.")]
    size: Annotated[
        list[int] | None,
        Key(
            "Width and height that it was trained at, if a label of its image or its train.ini has them.",
            optional=True,
        ),
    ] = None
    description: Annotated[
        dict[str, Any] | None,
        Key(
            "How its input and outputs are used, if its family has a description.",
            schema={"type": "object"},
            optional=True,
        ),
    ] = None
