"""What a network's file takes and gives, and says of itself."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Tensor:
    """An input or an output.

    Attributes:
        name: empty where it has none.
        kind: float32, float16, uint8, int64, ..., empty where the file does not say.
        shape: None for an open length; None in all where the file does not say.
    """

    name: str
    kind: str
    shape: Shape | None

    def __str__(self) -> str:
        """Return it in words, for an error."""
        lengths = "?" if self.shape is None else ", ".join("?" if one is None else str(one) for one in self.shape)
        return f"{self.name or 'without a name'} {self.kind or 'of an unknown type'} ({lengths})"


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives.

    Attributes:
        source: the name of the graph in errors.
        inputs: those that are no constants.
        outputs: in the file's order; of a frozen graph those by which its family is known.
        operators: the kinds of its operators, without those of graphs inside.
        metadata: what the file says of itself; a value may be text or, from a file next to it, of any type.
        is_frozen: it is a frozen graph, any of whose tensors may be an output.
        classes: how many its last layers score, the background's included; None if the names of its weights do not
            show it.
        takes_patches: it looks at a picture in patches, as vision transformers do; None if the file does not show
            its weights.
    """

    source: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_frozen: bool = False
    classes: int | None = None
    takes_patches: bool | None = None

    def without_inputs(self, names: Collection[str]) -> "Signature":
        """Return it without these inputs."""
        return replace(self, inputs=tuple(one for one in self.inputs if one.name not in names))

    @property
    def output_names(self) -> list[str]:
        """The outputs' names."""
        return [output.name for output in self.outputs]
