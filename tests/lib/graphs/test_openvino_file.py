"""Test OpenVINO's .xml files that try to hide an operator from the check, or to use up memory."""

import pytest

from scripts.lib.errors import GraphError
from scripts.lib.graphs.openvino_file import check_openvino_file, read_openvino_file

VALID = '<layers><layer id="0" name="a" type="Parameter" version="opset1"/></layers>'
EVIL = '<layer id="1" name="b" type="Evil" version="extension"/>'
ENTITY = '<!DOCTYPE net [<!ENTITY v "opset1">]>'


def network(inside: str, head: str = "") -> str:
    return f'<?xml version="1.0"?>{head}<net name="n" version="11">{inside}</net>'


@pytest.mark.parametrize("encode", [str.encode, lambda text: b"\xef\xbb\xbf" + text.encode()], ids=["plain", "marked"])
def test_a_valid_file_is_accepted(encode):
    check_openvino_file(encode(network(VALID)), "graph.xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (network(VALID + f"<layers>{EVIL}</layers>").encode(), "'Evil' of 'extension'"),
        (network(VALID + f'<layers xmlns="urn:any">{EVIL}</layers>').encode(), "namespaces"),
        (network(VALID + f'<a:rt xmlns:a="urn:any">{EVIL}</a:rt>').encode(), "namespaces"),
        (network(VALID, ENTITY).encode(), "declares entities"),
        (network(VALID, ENTITY).encode("utf-16"), "cannot read it as an OpenVINO network"),
        (network(VALID, ENTITY).replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16"), "cannot read it as"),
        (b'<?xml version="1.0" encoding="cp037"?>' + network(VALID, ENTITY).encode("cp037"), "cannot read it as"),
        (network("").encode(), "the operators none"),
    ],
    ids=["inside", "namespace", "prefix", "entity", "utf-16", "declared utf-16", "declared cp037", "empty"],
)
def test_a_file_that_hides_something_is_refused(content, words):
    with pytest.raises(GraphError, match=words):
        check_openvino_file(content, "graph.xml")


COMPLETE = (
    '<layers><layer id="0" name="a" type="Parameter" version="opset1"><output><port id="0" precision="FP32">'
    '<dim>{dim}</dim></port></output></layer><layer id="1" name="r" type="Result" version="opset1"/></layers>'
    '<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges>'
)


@pytest.mark.parametrize("dim", ["x", "9" * 5000, "-1", "", "²", "1.5"])
def test_an_invalid_dimension_is_not_fixed(dim):
    found = read_openvino_file(network(COMPLETE.format(dim=dim)).encode(), "graph.xml")
    assert found.inputs[0].shape == (None,)


@pytest.mark.parametrize("result", ["detection_boxes:0", "detection_boxes:0/sink_port_0"])
def test_an_output_has_the_name_of_its_result_if_its_tensor_has_several(result):
    """As in a converted graph of TensorFlow, in which operators that copy were removed."""
    several = (
        COMPLETE.format(dim=1).replace("FP32", 'FP32" names="add:0,detection_boxes:0').replace('"r"', f'"{result}"')
    )
    found = read_openvino_file(network(several).encode(), "graph.xml")
    assert (found.output_names, found.inputs[0].name) == (["detection_boxes:0"], "add:0")


@pytest.mark.sweep
@pytest.mark.parametrize(
    "inside", ["<rt_info>" + "<a>" * 100_000 + "</a>" * 100_000 + "</rt_info>", "<a/>" * 2_000_001],
    ids=["deep", "many"],
)  # fmt: skip
def test_trees_that_are_too_large_are_refused(inside):
    for read in (check_openvino_file, read_openvino_file):
        with pytest.raises(GraphError, match="more than 2000000 elements, or nested more than 100 deep"):
            read(network(COMPLETE.format(dim=1) + inside).encode(), "graph.xml")


def test_metadata_is_read_in_order():
    inside = '<rt_info><b><c value="1"/></b><labels value="cod crab"/><d name="e" value="2"/></rt_info>'
    found = read_openvino_file(network(COMPLETE.format(dim=1) + inside).encode(), "graph.xml")
    assert list(found.metadata.items()) == [("c", "1"), ("labels", "cod crab"), ("e", "2"), ("names", ["cod", "crab"])]
