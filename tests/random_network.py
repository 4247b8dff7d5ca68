"""A network of random weights in keras-retinanet's later layout, of which the repository has the graph only."""

import gzip
from pathlib import Path

import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet

from scripts.lib.graphs.messages import read_graph_def

_GRAPH = Path(__file__).parent / "data" / "layouts" / "fizyr.pb.gz"
_TENSOR_CONTENT = 4  # field of TensorProto


def write_random_network(path: Path) -> Path:
    """Write the network as a frozen graph, the same at each call, and return its path.

    In the repository's file, each weight of a kernel is the standard deviation of its random values.
    """
    graph = gzip.decompress(_GRAPH.read_bytes())
    rng = np.random.default_rng(0)
    for node in read_graph_def(graph).node:
        if node.name.endswith("/kernel"):
            content = _content(node)
            spread = np.frombuffer(content, np.float32)
            graph = graph.replace(content, rng.normal(0, spread).astype(np.float32).tobytes(), 1)
    path.write_bytes(graph)
    return path


def _content(node) -> bytes:
    """Return the numbers of a Const node."""
    [value] = [attribute.value for attribute in node.attr if attribute.key == "value"]
    [content] = [field.data for field in UnknownFieldSet(value.tensor) if field.field_number == _TENSOR_CONTENT]
    return content
