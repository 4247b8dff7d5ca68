"""OpenVINO's .xml files that would hide an operator from the check, or cost memory without end."""

import pytest

from scripts.lib.errors import GraphError
from scripts.lib.graphs.openvino_file import check_openvino_file

SOUND = '<layers><layer id="0" name="a" type="Parameter" version="opset1"/></layers>'
EVIL = '<layer id="1" name="b" type="Evil" version="extension"/>'
ENTITY = '<!DOCTYPE net [<!ENTITY v "opset1">]>'


def network(inside: str, head: str = "") -> str:
    return f'<?xml version="1.0"?>{head}<net name="n" version="11">{inside}</net>'


@pytest.mark.parametrize("encode", [str.encode, lambda text: b"\xef\xbb\xbf" + text.encode()], ids=["plain", "marked"])
def test_a_sound_file_is_taken(encode):
    check_openvino_file(encode(network(SOUND)), "graph.xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (network(SOUND + f"<layers>{EVIL}</layers>").encode(), "'Evil' of 'extension'"),
        (network(SOUND + f'<layers xmlns="urn:any">{EVIL}</layers>').encode(), "namespaces"),
        (network(SOUND + f'<a:rt xmlns:a="urn:any">{EVIL}</a:rt>').encode(), "namespaces"),
        (network(SOUND, ENTITY).encode(), "declares entities"),
        (network(SOUND, ENTITY).encode("utf-16"), "cannot read it as an OpenVINO network"),
        (network(SOUND, ENTITY).replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16"), "cannot read it as"),
        (b'<?xml version="1.0" encoding="cp037"?>' + network(SOUND, ENTITY).encode("cp037"), "cannot read it as"),
        (network("").encode(), "the operators none"),
    ],
    ids=["inside", "namespace", "prefix", "entity", "utf-16", "declared utf-16", "declared cp037", "empty"],
)
def test_a_file_that_hides_something_is_refused(content, words):
    with pytest.raises(GraphError, match=words):
        check_openvino_file(content, "graph.xml")
