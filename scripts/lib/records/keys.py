"""Types of keys that several records have."""

from typing import Annotated, Any, Literal

from scripts.lib.records.record_files import Key

MediaId = Annotated[int, Key(part="media_id")]
Count = Annotated[int, Key(part="count")]
Share = Annotated[float, Key(part="share")]
Sha256 = Annotated[str, Key(part="sha256")]
Reason = Annotated[str | None, Key(part="reason")]
Name = Annotated[str | None, Key(part="name")]
Kind = Literal["video", "image"]
Role = Literal["archival", "streaming", "image"]
MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}
BEFORE_DETECTION: dict[str, Any] = {"enum": ["ready", "unsupported", "missing", "skipped", "failed"]}
