"""Information about a network besides its graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NetworkHints:
    """Information about a network besides its graph.

    Attributes:
        names: how many classes have a name.
        labels: the label of each, where the names say so.
        config: what transformers' config.json says, and its preprocessor's under `preprocessor`.
        family: network.family.
        description: network.description.
        first_label: network.first_label.
        pixels: network.pixels.
    """

    names: int
    labels: tuple[int, ...] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    family: str = "auto"
    description: Mapping[str, Any] | None = None
    first_label: int | None = None
    pixels: str | None = None
