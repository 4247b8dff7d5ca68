"""Test the file of the media's attributes, which is JSON, and whose media are looked up without reading all of it."""

import json

import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.files import write_json
from scripts.lib.records.attributes_file import AttributesFile, write_attributes
from scripts.lib.records.summary import MediaAttributes

ODD = 'a "b",\n}\u2028\ud800'
KNOWN = {
    7: MediaAttributes(section=None, attributes={"Depth": 3}),
    8: MediaAttributes(section=ODD, attributes={ODD: ODD}),
    1000: MediaAttributes(section="x", attributes={}),
}


def contents(path):
    with AttributesFile(path) as attributes:
        return list(attributes.values()), {number: attributes.get(number) for number in (1, 7, 8, 9, 1000, 2000)}


@pytest.mark.parametrize("known", [KNOWN, {}, {7: KNOWN[7]}])
def test_written_attributes_are_read(tmp_path, known):
    path = tmp_path / "attributes.json"
    write_attributes(path, known.items())
    plain = {str(number): {"section": of.section, "attributes": of.attributes} for number, of in known.items()}
    assert json.loads(path.read_text()) == plain
    found = {number: known.get(number) for number in (1, 7, 8, 9, 1000, 2000)}
    assert contents(path) == (list(known.values()), found)
    write_json(path, plain)  # as earlier versions did
    assert contents(path) == (list(known.values()), found)
    path.write_text(json.dumps(plain))
    assert contents(path) == (list(known.values()), found)


@pytest.mark.parametrize("text", ['{"7": {"section": null}}', '{\n"7": {"section": null}\n}\n'])
def test_the_message_names_a_missing_key(tmp_path, text):
    path = tmp_path / "attributes.json"
    path.write_text(text)
    with pytest.raises(PipelineError, match="the key attributes is missing"):
        contents(path)
