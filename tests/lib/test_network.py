"""What a network is made of, and what results depend on."""

from pathlib import Path

import pytest

from scripts.lib.detection.network import NetworkFiles


@pytest.mark.parametrize(
    ("graph", "weights"), [("graph.pb", []), ("graph.onnx", []), ("int8/graph.xml", [Path("int8/graph.bin")])]
)
def test_weights_beside_a_graph_count_too(graph: str, weights: list[Path]) -> None:
    files = NetworkFiles(Path(graph), Path("train.ini"), Path("provenance.json"), [Path("int8/drift.json")])
    others = [Path("train.ini"), Path("provenance.json"), Path("int8/drift.json")]
    assert files.all == [Path(graph), *weights, *others]
