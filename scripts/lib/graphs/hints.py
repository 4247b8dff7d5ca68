"""Information about a network besides its graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NetworkHints:
    """Information about a network besides its graph.

    Attributes:
        names: number of class names.
        labels: label of each name; None if the source of the names has no labels.
        config: contents of transformers' config.json, with those of preprocessor_config.json under `preprocessor`.
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
