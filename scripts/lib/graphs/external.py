"""Embed weights that are stored in other files into an ONNX file.

Everything that depends on the hash of the graph then depends on the weights too.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.lib.errors import GraphError

# File names of weights that PyTorch and Optimum write; only these are copied from a data image.
NAMES = ("graph.onnx.data", "graph.onnx_data")
_EXTERNAL = 1
_LARGEST_IN_PLAN = 64 << 20
# A protobuf message cannot be larger.
_LARGEST = 2**31 - 1


def weight_files(graph: Path, source: str | None = None) -> list[str]:
    """Return the names in an ONNX file of the other files that hold its weights.

    Args:
        graph: the ONNX file.
        source: name of the file for errors.

    Raises:
        GraphError: the file cannot be read.
    """
    return sorted({_entries(tensor).get("location", "") for tensor in _external(_read(graph, source or str(graph)))})


def weight_files_in_folder(graph: Path) -> list[str]:
    """Return the relative paths of existing files that hold the weights of an ONNX file; for the plan of a run.

    Errors are ignored here, since the job that gets the network reports them. Large graphs are not read, since they
    hold their weights themselves.
    """
    try:
        if graph.suffix != ".onnx" or not graph.is_file() or graph.stat().st_size > _LARGEST_IN_PLAN:
            return []
        names = filter(None, map(relative_path, weight_files(graph)))
        return sorted({str(name) for name in names if (graph.parent / name).is_file()})
    except (GraphError, OSError):  # OSError: a name that is too long, or a folder without rights
        return []


def relative_path(name: str) -> PurePosixPath | None:
    """Return the path of a file of weights, relative to the graph's folder; None for a path out of the folder."""
    path = PurePosixPath(name)
    if "\0" in name or not path.parts or path.is_absolute() or ".." in path.parts:
        return None
    return path


def write_with_weights(graph: Path, folder: Path, target: Path, source: str) -> list[Path]:
    """Write an ONNX file with its weights embedded; write nothing if no weights are in other files.

    Args:
        graph: the ONNX file.
        folder: the folder of the files with the weights; files outside of it are refused.
        target: the file to write, which may be the graph itself.
        source: name of the graph for errors.

    Returns:
        The files with weights.

    Raises:
        GraphError: the graph cannot be read, or a file is absent, outside the folder, too short, or too large.
    """
    model = _read(graph, source)
    files: dict[str, Path] = {}
    total = graph.stat().st_size
    for tensor in _external(model):
        entries = _entries(tensor)
        name = entries.get("location", "")
        path = files.setdefault(name, _inside(folder, name, source))
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
    if files:
        target.write_bytes(model.SerializeToString())
    return list(files.values())


def _read(graph: Path, source: str) -> Any:
    from scripts.lib.graphs.messages import read_weights  # protobuf is slow to import, and few plans need it

    try:
        return read_weights(graph.read_bytes())
    except ValueError as error:
        raise GraphError(
            f"{source}: cannot read it as an ONNX file ({error}); expected a complete file: copy or export it again"
        ) from error


def _external(model: Any) -> Iterator[Any]:
    """Yield every tensor whose values are in another file."""
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
    """Return the file with a name; refuse a missing file, one outside the folder, and symbolic links."""
    relative = relative_path(name)
    path = folder / (relative or "")
    if relative is None or path.resolve() != folder.resolve() / relative:
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
    """Return offset and number of bytes of a tensor's values in the file."""
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
