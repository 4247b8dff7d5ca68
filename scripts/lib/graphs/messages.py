"""Parts of TensorFlow's GraphDef and ONNX's ModelProto as protobuf messages, without TensorFlow and onnx.

So operators are checked before TensorFlow or onnx opens the file. Each message is declared only with the fields that
can name an operator, a function, or a type of value, and with the shapes of weights; protobuf skips all others. A `map`
and a `oneof` are declared as plain fields, so that a second entry of the same name is not hidden.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_SCALARS = {"string": 9, "bytes": 12, "int32": 5, "int64": 3, "float": 2, "double": 1, "uint64": 4}
_MESSAGE = 11
_OPTIONAL, _REPEATED = 1, 3

# Message, field, (number, type); a star stands for a repeated field.
_TENSORFLOW = {
    "GraphDef": {"node": (1, "NodeDef*"), "library": (2, "Library")},
    "Library": {"function": (1, "FunctionDef*"), "gradient": (2, "Gradient*"), "registered_gradients": (3, "bytes*")},
    "Gradient": {"function_name": (1, "string"), "gradient_func": (2, "string")},
    "FunctionDef": {"signature": (1, "OpDef"), "node_def": (3, "NodeDef*"), "attr": (5, "Attr*")},
    "OpDef": {"name": (1, "string"), "input_arg": (2, "Arg*"), "output_arg": (3, "Arg*"), "attr": (4, "AttrDef*")},
    "Arg": {"type": (3, "int32")},
    "AttrDef": {"type": (2, "string"), "default_value": (3, "AttrValue")},
    "NodeDef": {"name": (1, "string"), "op": (2, "string"), "attr": (5, "Attr*")},
    "Attr": {"key": (1, "string"), "value": (2, "AttrValue")},
    "AttrValue": {
        "list": (1, "ListValue"), "type": (6, "int32"), "tensor": (8, "Tensor"), "func": (10, "NameAttrList"),
    },
    "ListValue": {"type": (6, "int32*"), "tensor": (8, "Tensor*"), "func": (9, "NameAttrList*")},
    "NameAttrList": {"name": (1, "string"), "attr": (2, "Attr*")},
    "Tensor": {
        "dtype": (1, "int32"), "shape": (2, "TensorShape"), "resource_handle_val": (14, "bytes*"),
        "variant_val": (15, "bytes*"),
    },
    "TensorShape": {"dim": (2, "TensorLength*")},
    "TensorLength": {"size": (1, "int64")},
}  # fmt: skip
_ONNX = {
    "ModelProto": {"graph": (7, "GraphProto"), "training_info": (20, "bytes*"), "functions": (25, "FunctionProto*")},
    "GraphProto": {"node": (1, "NodeProto*")},
    "FunctionProto": {
        "name": (1, "string"), "node": (7, "NodeProto*"), "domain": (10, "string"),
        "attribute_proto": (11, "Attribute*"), "overload": (13, "string"),
    },
    "NodeProto": {
        "name": (3, "string"), "op_type": (4, "string"), "attribute": (5, "Attribute*"), "domain": (7, "string"),
        "overload": (8, "string"),
    },
    "Attribute": {"g": (6, "GraphProto"), "graphs": (11, "GraphProto*")},
}  # fmt: skip

# The fields before a model's graph. Messages that are written again declare them, as fields that are not declared come
# last, and OpenVINO takes a file for another format if one of its first three fields is repeated.
_BEFORE_GRAPH = {
    "ir_version": (1, "int64"), "producer_name": (2, "bytes"), "producer_version": (3, "bytes"),
    "domain": (4, "bytes"), "model_version": (5, "int64"), "doc_string": (6, "bytes"),
}  # fmt: skip
# The weights of an ONNX file. All other fields are kept unchanged when the message is written again.
_WEIGHTS = {
    "ModelProto": {**_BEFORE_GRAPH, "graph": (7, "GraphProto"), "functions": (25, "FunctionProto*")},
    "GraphProto": {
        "node": (1, "NodeProto*"), "initializer": (5, "TensorProto*"), "sparse_initializer": (15, "SparseTensor*"),
    },
    "FunctionProto": {"node": (7, "NodeProto*"), "attribute_proto": (11, "Attribute*")},
    "NodeProto": {"attribute": (5, "Attribute*")},
    "Attribute": {
        "t": (5, "TensorProto"), "g": (6, "GraphProto"), "tensors": (10, "TensorProto*"), "graphs": (11, "GraphProto*"),
        "sparse_tensor": (22, "SparseTensor"), "sparse_tensors": (23, "SparseTensor*"),
    },
    "SparseTensor": {"values": (1, "TensorProto"), "indices": (2, "TensorProto")},
    "TensorProto": {"raw_data": (9, "bytes"), "external_data": (13, "Entry*"), "data_location": (14, "int32")},
    "Entry": {"key": (1, "string"), "value": (2, "string")},
}  # fmt: skip

# Inputs, outputs and metadata of an ONNX file.
_SIGNATURE = {
    "ModelProto": {"producer": (2, "string"), "graph": (7, "GraphProto"), "metadata_props": (14, "Entry*")},
    "GraphProto": {
        "node": (1, "NodeProto*"), "initializer": (5, "TensorProto*"), "input": (11, "ValueInfo*"),
        "output": (12, "ValueInfo*"),
    },
    "NodeProto": {
        "input": (1, "string*"), "output": (2, "string*"), "op_type": (4, "string"), "attribute": (5, "Attribute*"),
    },
    "Attribute": {
        "name": (1, "string"), "f": (2, "float"), "i": (3, "int64"), "t": (5, "TensorProto"), "floats": (7, "float*"),
        "ints": (8, "int64*"),
    },
    "TensorProto": {
        "dims": (1, "int64*"), "data_type": (2, "int32"), "float_data": (4, "float*"), "int32_data": (5, "int32*"),
        "int64_data": (7, "int64*"), "name": (8, "string"), "raw_data": (9, "bytes"), "double_data": (10, "double*"),
        "uint64_data": (11, "uint64*"),
    },
    "ValueInfo": {"name": (1, "string"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "int32"), "shape": (2, "Shape")},
    "Shape": {"dim": (1, "Dimension*")},
    "Dimension": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
    "Entry": {"key": (1, "string"), "value": (2, "string")},
}  # fmt: skip

# Constants and their shapes, in branches of an `If` too. All other fields are kept when the message is written again.
_CONSTANTS = {
    "ModelProto": {
        **_BEFORE_GRAPH, "graph": (7, "GraphProto"), "opset_import": (8, "Opset*"), "functions": (25, "FunctionProto*"),
    },
    "FunctionProto": {"node": (7, "NodeProto*"), "opset_import": (9, "Opset*")},
    "Opset": {"domain": (1, "string"), "version": (2, "int64")},
    "GraphProto": {"node": (1, "NodeProto*"), "initializer": (5, "TensorProto*"), "input": (11, "ValueInfo*")},
    "NodeProto": {
        "input": (1, "string*"), "output": (2, "string*"), "name": (3, "string"), "op_type": (4, "string"),
        "attribute": (5, "Attribute*"), "domain": (7, "string"),
    },
    "Attribute": {
        "name": (1, "string"), "t": (5, "TensorProto"), "g": (6, "GraphProto"), "floats": (7, "float*"),
        "ints": (8, "int64*"), "graphs": (11, "GraphProto*"), "type": (20, "int32"),
    },
    "TensorProto": {
        "dims": (1, "int64*"), "data_type": (2, "int32"), "name": (8, "string"), "raw_data": (9, "bytes"),
    },
    "ValueInfo": {"name": (1, "string")},
}  # fmt: skip

# Fields to write a graph of a few operators.
_WRITTEN = {
    "ModelProto": {"ir_version": (1, "int64"), "graph": (7, "GraphProto"), "opset_import": (8, "Opset*")},
    "Opset": {"domain": (1, "string"), "version": (2, "int64")},
    "GraphProto": {
        "node": (1, "NodeProto*"), "name": (2, "string"), "initializer": (5, "TensorProto*"),
        "input": (11, "ValueInfo*"), "output": (12, "ValueInfo*"),
    },
    "NodeProto": {
        "input": (1, "string*"), "output": (2, "string*"), "op_type": (4, "string"), "attribute": (5, "Attribute*"),
    },
    "Attribute": {"name": (1, "string"), "i": (3, "int64"), "ints": (8, "int64*"), "type": (20, "int32")},
    "TensorProto": {
        "dims": (1, "int64*"), "data_type": (2, "int32"), "name": (8, "string"), "raw_data": (9, "bytes"),
    },
    "ValueInfo": {"name": (1, "string"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "int32")},
}  # fmt: skip


def read_graph_def(content: bytes) -> Any:
    """Return a frozen graph's nodes and library as messages.

    Raises:
        ValueError: the content is not a GraphDef.
    """
    return _parse("tensorflow", "GraphDef", content)


def read_model_proto(content: bytes) -> Any:
    """Return an ONNX file's graph and functions as messages.

    Raises:
        ValueError: the content is not a ModelProto.
    """
    return _parse("onnx", "ModelProto", content)


def read_weights(content: bytes) -> Any:
    """Return an ONNX file as a message with its weights, which is a complete file when it is written again.

    Raises:
        ValueError: the content is not a ModelProto.
    """
    return _parse("weights", "ModelProto", content)


def read_signature(content: bytes) -> Any:
    """Return an ONNX file's inputs, outputs, operators, constants and metadata as messages.

    Raises:
        ValueError: the content is not a ModelProto.
    """
    return _parse("signature", "ModelProto", content)


def read_constants(content: bytes) -> Any:
    """Return an ONNX file as a message with its constants, which is a complete file when it is written again.

    Raises:
        ValueError: the content is not a ModelProto.
    """
    return _parse("constants", "ModelProto", content)


def new_model() -> Any:
    """Return an empty ONNX ModelProto."""
    return _classes("written")["checked.written.ModelProto"]()


def _parse(package: str, name: str, content: bytes) -> Any:
    message = _classes(package)[f"checked.{package}.{name}"]()
    try:
        message.ParseFromString(content)
    except (DecodeError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return message


@cache
def _classes(package: str) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"checked/{package}.proto", package=f"checked.{package}")
    declarations = {
        "tensorflow": _TENSORFLOW, "onnx": _ONNX, "weights": _WEIGHTS, "signature": _SIGNATURE,
        "constants": _CONSTANTS, "written": _WRITTEN,
    }  # fmt: skip
    for name, fields in declarations[package].items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = _REPEATED if kind.endswith("*") else _OPTIONAL
            declared = message.field.add(name=field, number=number, label=label)
            declared.type = _SCALARS.get(kind.rstrip("*"), _MESSAGE)
            if declared.type == _MESSAGE:
                declared.type_name = f".checked.{package}.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes: dict[str, Any] = message_factory.GetMessageClassesForFiles([file.name], pool)
    return classes
