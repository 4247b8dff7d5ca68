"""Test that files of names next to an untrusted network are read or refused quickly."""

import time
from pathlib import Path

import pytest

from scripts.commands import inspect_network
from scripts.lib.errors import GraphError
from scripts.lib.graphs import class_names, found_network, yolo
from scripts.lib.graphs.signature import Signature, Tensor
from scripts.lib.text import yaml_text

SIGNATURE = Signature("graph.onnx", (), (), frozenset(), {})
# Some lines of YAML that expand to a million names.
BOMB = "a0: &a0 [cod]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 7)
)
YAML = {
    "aliases": f"{BOMB}names: *a6\n",
    "a list in itself": "names: &a [*a]\n",
    "nested lists": "names: " + "[" * 900 + "]" * 900,
    "nested keys": "names: " + "{a: " * 5000 + "}" * 5000,
    "a number": "names: [" + "9" * 5000 + "]",
    "a date": "names: [2020-13-40]",
    "a time": "names: [2020-01-01 99:99:99]",
    "a text as a number": "names: [!!int x]",
    "nothing as a number": "names: [!!float '']",
    "a switch": "names: [!!bool x]",
    "an object": "names: !!python/object/apply:os.system [id]",
    "a list as a key": "? [a, b]\n: 1\nnames: [cod]",
    "merged": "<<: 3\nnames: [cod]",
    "infinite keys": "names: {.inf: cod}",
    "no number": "names: {.nan: cod}",
    "terminal": "names: [\x1b[2J]",
    "two documents": "names: [cod]\n---\nnames: [crab]",
    "large": "names: [" + "a, " * 400_000 + "]",
}
JSON = {
    "infinite": '[{"id": Infinity, "name": "cod"}]',
    "no number": '[{"id": NaN, "name": "cod"}]',
    "nested": "[" * 100_000 + "]" * 100_000,
    "a number": f'[{{"id": {"9" * 5000}, "name": "cod"}}]',
    "keys": '{"id": 1}',
    "letters": '"cod"',
    "half a letter": '[{"id": 0, "name": "\\ud800"}]',
}


def refusal(folder: Path) -> str:
    begun = time.monotonic()
    with pytest.raises(GraphError) as caught:
        class_names.to_train_ini(class_names.find_names(folder, SIGNATURE, "image").names, "image")
    assert time.monotonic() - begun < 10
    return str(caught.value)


@pytest.mark.parametrize("name", ["data.yaml", class_names.METADATA])
@pytest.mark.parametrize("payload", YAML)
def test_hostile_yaml_is_refused_in_few_words(tmp_path: Path, name: str, payload: str) -> None:
    (tmp_path / name).write_text(YAML[payload])
    message = refusal(tmp_path)
    assert message.startswith(f"image: {name}: ")
    assert len(message) < 1000
    assert "\x1b" not in message


@pytest.mark.parametrize("payload", ["aliases", "nested lists", "a number", "a date", "a text as a number", "merged"])
def test_hostile_yaml_of_metadata_is_refused(tmp_path: Path, payload: str) -> None:
    (tmp_path / class_names.METADATA).write_text(YAML[payload])
    with pytest.raises(GraphError, match=r"^image: metadata\.yaml: is not YAML"):
        found_network._with_metadata(SIGNATURE, tmp_path, "image")


@pytest.mark.parametrize("payload", JSON)
def test_hostile_json_is_refused(tmp_path: Path, payload: str) -> None:
    (tmp_path / "categories.json").write_text(f'{{"categories": {JSON[payload]}}}')
    message = refusal(tmp_path)
    assert message.startswith("image")
    assert len(message) < 1000
    message.encode()


@pytest.mark.parametrize("content", ["[" * 900, "a: 2020-13-40", "a: !!int x", "a: " + "9" * 5000])
def test_a_description_that_cannot_be_read(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text(content)
    (tmp_path / "graph.onnx").write_bytes(b"")
    code = inspect_network.main([str(tmp_path), "--description", str(tmp_path / "own.yaml")])
    assert code == 1
    assert "own.yaml: cannot be read (" in capsys.readouterr().err


def test_valid_yaml_is_read() -> None:
    text = "names:\n  0: cod\n  1: 'crab'\nimgsz: [640, 640]\nstride: 32\nend2end: false\ndate: '2026-01-01T00:00:00'\n"
    assert yaml_text.parse_from_others(text) == {
        "names": {0: "cod", 1: "crab"},
        "imgsz": [640, 640],
        "stride": 32,
        "end2end": False,
        "date": "2026-01-01T00:00:00",
    }


@pytest.mark.parametrize("key", ["imgsz", "stride"])
def test_a_size_with_megabytes_of_text_is_ignored(key: str) -> None:
    """Reading eight megabytes took 3.8 GB and 13 seconds."""
    free = Tensor("images", "float32", (1, 3, None, None))
    metadata = {"imgsz": "[480, 640]", "stride": "[8, 16]"}
    signature = Signature("a.onnx", (free,), (), frozenset(), {**metadata, key: "[" + "1," * 2_000_000 + "]"})
    started = time.process_time()
    assert (yolo.size_of(signature), yolo._largest_stride(signature)) in [(None, 16), ((640, 480), 32)]
    assert time.process_time() - started < 0.5
