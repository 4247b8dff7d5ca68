"""Read the weights of ONNX files that are stored in other files into the graph, so that it is one file.

What follows, above all every hash of the graph, then depends on the weights too.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.lib.errors import GraphError

# What exporters call the file (PyTorch, Optimum); from a data image only these are taken.
NAMES = ("graph.onnx.data", "graph.onnx_data")
_EXTERNAL = 1
_LARGEST_IN_PLAN = 64 << 20
# A protobuf message cannot be larger.
_LARGEST = 2**31 - 1


def files_of(graph: Path, source: str | None = None) -> list[str]:
    """Return the names of the files beside an ONNX file that hold its weights, as it writes them.

    Args:
        graph: the ONNX file.
        source: its name in errors.

    Raises:
        GraphError: it cannot be read.
    """
    return sorted({_entries(tensor).get("location", "") for tensor in _external(_read(graph, source or str(graph)))})


def sibling_of(graph: Path) -> list[str]:
    """Return the names of files beside an ONNX file that hold its weights, as far as a plan needs them.

    What is absent or cannot be read, the job says that gets the network. A large graph holds its weights itself.
    """
    if graph.suffix != ".onnx" or not graph.is_file() or graph.stat().st_size > _LARGEST_IN_PLAN:
        return []
    try:
        names = files_of(graph)
    except GraphError:
        return []
    places = {place for name in names if (place := place_of(name)) and (graph.parent / place).is_file()}
    return sorted(map(str, places))


def place_of(name: str) -> PurePosixPath | None:
    """Return where a file of weights is, below the graph's folder; None for a name that leads elsewhere or nowhere."""
    place = PurePosixPath(name)
    if "\0" in name or not place.parts or place.is_absolute() or ".." in place.parts:
        return None
    return place


def write_whole(graph: Path, folder: Path, target: Path, source: str) -> list[Path]:
    """Write an ONNX file with the weights that lie next to it; nothing is written where none do.

    Args:
        graph: the ONNX file.
        folder: where the files with its weights are; none outside of it is read.
        target: the file to write, which may be the graph itself.
        source: the name of the graph in errors.

    Returns:
        The files that were taken in.

    Raises:
        GraphError: the graph cannot be read, or a file is absent, outside the folder, too short, or too large.
    """
    model = _read(graph, source)
    taken: dict[str, Path] = {}
    total = graph.stat().st_size
    for tensor in _external(model):
        entries = _entries(tensor)
        name = entries.get("location", "")
        path = taken.setdefault(name, _inside(folder, name, source))
        offset, length = _span(entries, path, source)
        total += length
        if total > _LARGEST:
            raise GraphError(
                f"{source}: with the weights in {name!r} it has more than {_LARGEST} bytes; expected less, which an "
                "ONNX file can hold: export it in half precision"
            )
        with path.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    if taken:
        target.write_bytes(model.SerializeToString())
    return list(taken.values())


def _read(graph: Path, source: str) -> Any:
    from scripts.lib.graphs.messages import read_weights  # protobuf takes a while to import, and plans need it seldom

    try:
        return read_weights(graph.read_bytes())
    except ValueError as error:
        raise GraphError(
            f"{source}: cannot read it as an ONNX file ({error}); expected a complete file: copy or export it again"
        ) from error


def _external(model: Any) -> Iterator[Any]:
    """Yield every tensor whose values lie in another file."""
    holders = [model.graph, *model.functions]
    while holders:
        holder = holders.pop()
        tensors, sparse = [], []
        if holder.DESCRIPTOR.name == "GraphProto":
            tensors += holder.initializer
            sparse += holder.sparse_initializer
        attributes = [attribute for node in holder.node for attribute in node.attribute]
        if holder.DESCRIPTOR.name == "FunctionProto":
            attributes += holder.attribute_proto  # the defaults of its attributes
        for attribute in attributes:
            tensors += [attribute.t] if attribute.HasField("t") else []
            tensors += attribute.tensors
            sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            sparse += attribute.sparse_tensors
            holders += [attribute.g] if attribute.HasField("g") else []
            holders += attribute.graphs
        tensors += [part for each in sparse for part in (each.values, each.indices)]
        yield from (tensor for tensor in tensors if tensor.data_location == _EXTERNAL or tensor.external_data)


def _entries(tensor: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _inside(folder: Path, name: str, source: str) -> Path:
    """Return the file of a name; refuse one that does not exist, not below the folder, or behind a symbolic link."""
    place = place_of(name)
    path = folder / (place or "")
    if place is None or path.resolve() != folder.resolve() / place:
        raise GraphError(
            f"{source}: its weights are said to be in {name[:200]!r}; expected a file in the graph's own folder, or "
            "in one below it: put it there, and export the graph again"
        )
    if not path.is_file():
        raise GraphError(
            f"{source}: its weights are in the file {name[:200]!r}, which does not exist; expected it next to "
            f"the graph (in a data image as {' or '.join(NAMES)}): add it, or make the data "
            "image with make_pipeline_image"
        )
    return path


def _span(entries: dict[str, str], path: Path, source: str) -> tuple[int, int]:
    """Return where a tensor's values begin in the file, and how many bytes they are."""
    size = path.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError:
        offset, length = -1, -1
    if offset < 0 or length < 0 or offset + length > size:
        raise GraphError(
            f"{source}: takes bytes {entries.get('offset', '0')[:20]} and {entries.get('length', 'all')[:20]} more "
            f"from {path.name}, which has {size}; expected the complete file: copy it again"
        )
    return offset, length
