"""The signature of a network's file: its inputs, outputs and metadata."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

Shape = tuple[int | None, ...]
LARGEST_BYTE = 255
# Operators on pixels, each with the number from which on it shows that they are bytes; for Mul, down to which.
ARITHMETIC = {"Mul": 1 / 32, "Div": 32.0, "Sub": 16.0, "Add": 16.0}


@dataclass(frozen=True)
class Tensor:
    """An input or an output.

    Attributes:
        name: its name, empty if it has none.
        kind: float32, float16, uint8, int64, ...; empty if it is unknown.
        shape: its shape, with None for a length that is not fixed; None if the shape is unknown.
    """

    name: str
    kind: str
    shape: Shape | None

    def __str__(self) -> str:
        """Return name, type and shape as text for a message."""
        lengths = "?" if self.shape is None else ", ".join("?" if one is None else str(one) for one in self.shape)
        return f"{self.name or 'without a name'} {self.kind or 'of an unknown type'} ({lengths})"


class PixelStep(NamedTuple):
    """An operator with a constant.

    Attributes:
        kind: Mul, Div, Sub or Add.
        values: the constant's, one or one for each channel.
    """

    kind: str
    values: tuple[float, ...]

    @property
    def divides_by_255(self) -> bool:
        """Whether it makes numbers from 0 to 1 of bytes."""
        factors = [{"Mul": value, "Div": 1 / value if value else 0.0}.get(self.kind, 0.0) for value in self.values]
        return all(math.isclose(factor * LARGEST_BYTE, 1, rel_tol=1e-3) for factor in factors)

    @property
    def takes_bytes(self) -> bool:
        """Whether its numbers are those of pixels from 0 to 255."""
        limit = ARITHMETIC[self.kind]
        return any(0 < abs(value) <= limit if self.kind == "Mul" else abs(value) >= limit for value in self.values)


@dataclass(frozen=True)
class Signature:
    """Inputs, outputs and metadata of a graph.

    Attributes:
        source: name of the graph for errors.
        inputs: the inputs, without constants.
        outputs: the outputs in the order of the file; for a frozen graph the known outputs of some family.
        operators: types of the operators, without those in sub-graphs.
        metadata: metadata of the file, as text; values from a separate file are of any type.
        is_frozen: whether the graph is a frozen TensorFlow graph, in which any tensor may be an output.
        classes: number of classes in the last layers, including the background; None if the weights do not show it.
        takes_patches: whether the network divides a picture into patches, as vision transformers do; None if the
            weights do not show it.
        pixel_step: first operator that changes the pixels; None if there is none, or it is not known.
    """

    source: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_frozen: bool = False
    classes: int | None = None
    takes_patches: bool | None = None
    pixel_step: PixelStep | None = None

    def without_inputs(self, names: Collection[str]) -> "Signature":
        """Return the signature without these inputs."""
        return replace(self, inputs=tuple(tensor for tensor in self.inputs if tensor.name not in names))

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return [output.name for output in self.outputs]
