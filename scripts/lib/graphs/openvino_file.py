"""Read the signature of OpenVINO's `.xml` files, and check their operators."""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from scripts.lib.errors import GraphError
from scripts.lib.graphs.signature import Signature, Tensor

# Versions of OpenVINO's own operators, which only compute; operators of extensions, which are libraries, have others.
_OPSET = re.compile(r"opset\d{1,3}")
_KINDS = {
    "FP32": "float32", "FP16": "float16", "U8": "uint8", "I8": "int8", "I32": "int32", "I64": "int64",
    "BOOL": "bool", "FP64": "float64",
}  # fmt: skip
# Begins the number after the name of an output, in the name of its layer Result.
_RESULT = "/sink_port_"
_SHOWN = 5
_DIGITS = 19
# A network of ten thousand operators has about 200,000 elements; each body in a body adds four levels.
_MOST_ELEMENTS, _DEEPEST = 2_000_000, 100


class _Builder(ElementTree.TreeBuilder):
    """Builds a tree of limited size, as a tree takes twenty times the memory of its file."""

    def __init__(self) -> None:
        super().__init__()
        self._elements = self._depth = 0

    def start(self, tag: str, attributes: Any) -> ElementTree.Element:
        self._elements += 1
        self._depth += 1
        if self._elements > _MOST_ELEMENTS or self._depth > _DEEPEST:
            raise ValueError(f"more than {_MOST_ELEMENTS} elements, or nested more than {_DEEPEST} deep")
        return super().start(tag, attributes)

    def end(self, tag: str) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)


def read_openvino_file(content: bytes, source: str) -> Signature:
    """Return the signature in the content of a `.xml` file; `source` is its name for errors.

    Raises:
        GraphError: the content is not an OpenVINO network.
    """
    root = _parsed(content, source)
    layers = {layer.get("id"): layer for layer in root.findall("./layers/layer")}
    edges = {
        edge.get("to-layer"): (edge.get("from-layer"), edge.get("from-port")) for edge in root.findall("./edges/edge")
    }
    inputs = [_port(layer, None) for layer in layers.values() if layer.get("type") == "Parameter"]
    results = [
        (*edges.get(key, (None, None)), layer.get("name", ""))
        for key, layer in layers.items()
        if layer.get("type") == "Result"
    ]
    outputs = [_port(layers[layer], port, result) for layer, port, result in results if layer in layers]
    if not inputs or not outputs:
        raise GraphError(f"{source}: has no input or no output; expected a complete OpenVINO network: export it again")
    information = root.find("./rt_info")
    metadata = {} if information is None else dict(_leaves(information))
    if "labels" in metadata:
        metadata.setdefault("names", metadata["labels"].split())
    operators = frozenset(str(layer.get("type")) for layer in layers.values())
    return Signature(source, tuple(inputs), tuple(outputs), operators, metadata)


def check_openvino_file(content: bytes, source: str) -> None:
    """Refuse an OpenVINO network with operators that are not OpenVINO's own.

    Raises:
        GraphError: the content is not an OpenVINO network, or has other operators.
    """
    layers = list(_parsed(content, source).iter("layer"))
    foreign = dict.fromkeys(
        f"{layer.get('type', '')[:100]!r} of {layer.get('version', '')[:100]!r}"
        for layer in layers
        if not _OPSET.fullmatch(layer.get("version", ""))
    )
    if foreign or not layers:
        raise GraphError(
            f"{source}: has the operators {', '.join(list(foreign)[:_SHOWN]) or 'none'}; expected those of OpenVINO "
            "itself, which reach no file, process or host (docs/security.md): export the network without extensions"
        )


def _parsed(content: bytes, source: str) -> ElementTree.Element:
    # Entities can expand to gigabytes, and OpenVINO writes none.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise GraphError(f"{source}: declares entities, which no OpenVINO network does; export it again")
    try:
        # Always as UTF-8: in another encoding, the check above would miss entities.
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314, there are no entities
        parser.feed(content.decode("utf-8-sig"))
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise GraphError(
            f"{source}: cannot read it as an OpenVINO network ({error}); expected a complete file: copy or "
            "export it again"
        ) from error
    if root.tag != "net":
        raise GraphError(f"{source}: is XML, but no OpenVINO network; expected the .xml file that an exporter wrote")
    # OpenVINO ignores namespaces and would run a layer in one, but this check would miss it.
    if any(element.tag.startswith("{") for element in root.iter()):
        raise GraphError(f"{source}: has XML namespaces, which no OpenVINO network does; export it again")
    return root


def _port(layer: ElementTree.Element, number: str | None, result: str = "") -> Tensor:
    """Return the output of a layer with this port number; its first output if `number` is None.

    Args:
        layer: the layer.
        number: the port number.
        result: name of the layer Result that takes the output, if any: of several names, the tensor has this one.
    """
    ports = [port for port in layer.findall("./output/port") if number in (None, port.get("id"))]
    if not ports:
        return Tensor(layer.get("name", ""), "", None)
    names = (ports[0].get("names") or "").split(",")
    shape = tuple(_length(dim.text or "") for dim in ports[0].findall("./dim"))
    own = result.partition(_RESULT)[0]
    return Tensor(own if own in names else names[0], _KINDS.get(ports[0].get("precision", ""), ""), shape)


def _length(text: str) -> int | None:
    """Return the length of a dimension; None if it is not fixed or not valid."""
    number = text.strip()
    return int(number) or None if number.isascii() and number.isdigit() and len(number) < _DIGITS else None


def _leaves(element: ElementTree.Element) -> Iterator[tuple[str, Any]]:
    """Yield names and values of the metadata below an element."""
    for child in element.iter():
        if child is not element and (value := child.get("value")) is not None:
            yield child.get("name") or child.tag, value
