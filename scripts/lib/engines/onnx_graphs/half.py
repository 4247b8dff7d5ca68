"""Convert an ONNX graph to half precision, from its first convolution to its last."""

from typing import TYPE_CHECKING

import numpy as np

from scripts.lib.errors import GraphError

if TYPE_CHECKING:
    import onnx

_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Half precision has too few digits for sampling positions; TensorRT needs the sampled data in the same type.
_FLOAT_ONLY = {"GridSample"}
# The largest number of half precision. Numbers from `_MASK` on, such as float32's largest and infinity, are attention
# masks of transformers, and become the largest half.
_LARGEST, _MASK = 65504.0, 1e30


def halve(model: "onnx.ModelProto", graph: str) -> None:
    """Convert the body of a graph to half precision, in place.

    The body is all convolutions, and every operator between two of them. In the body, all float inputs and outputs that
    have one type by the operator's definition become half; a Cast is added wherever half and float meet.

    Args:
        model: the graph, of fixed shapes, with its operators in topological order.
        graph: name of the graph for errors.

    Raises:
        GraphError: an operator is not ONNX's own, or a weight is too large for half precision.
    """
    _Halver(model, graph).run()


class _Halver:
    def __init__(self, model: "onnx.ModelProto", graph: str) -> None:
        import onnx

        self._graph, self._name = model.graph, graph
        self._opset = next(opset.version for opset in model.opset_import if opset.domain == "")
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        typed = [*inferred.input, *inferred.output, *inferred.value_info]
        self._floats = {tensor.name for tensor in typed if tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
        self._floats |= {name for name, one in self._weights.items() if one.data_type == onnx.TensorProto.FLOAT}
        self._half_tensors: set[str] = set()
        self._casts: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        body = self._body()
        for index, node in enumerate(list(self._graph.node)):
            half_inputs, half_outputs = self._half_ports(node) if index in body else (set(), set())
            for port, name in enumerate(node.input):
                if name in self._floats:
                    node.input[port] = self._as_half(name) if port in half_inputs else self._as_float(name)
            for port in half_outputs:
                self._half_tensors.add(node.output[port])
                node.output[port] = _half(node.output[port])
            self._nodes.append(node)
        for output in self._graph.output:
            self._as_float(output.name)
        del self._graph.node[:]
        del self._graph.value_info[:]
        self._graph.node.extend(self._nodes)
        used = {name for node in self._nodes for name in node.input}
        kept = [weight for weight in self._graph.initializer if weight.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _body(self) -> set[int]:
        """Return the indices of the convolutions, and of the operators between two of them."""
        nodes = list(self._graph.node)
        after: set[int] = set()
        reached: set[str] = set()
        for index, node in enumerate(nodes):
            if node.op_type in _HEAVY or reached.intersection(node.input):
                after.add(index)
                reached.update(node.output)
        before: set[int] = set()
        needed: set[str] = set()
        for index, node in reversed(list(enumerate(nodes))):
            if node.op_type in _HEAVY or needed.intersection(node.output):
                before.add(index)
                needed.update(node.input)
        return after & before

    def _half_ports(self, node: "onnx.NodeProto") -> tuple[set[int], set[int]]:
        """Return the indices of the inputs and of the outputs of an operator that become half."""
        import onnx

        if node.op_type == "Cast":
            return self._cast(node)
        if node.op_type in _FLOAT_ONLY:
            return set(), set()
        if node.domain or any(one.type in (one.GRAPH, one.GRAPHS) for one in node.attribute):
            raise GraphError(
                f"{self._name}: between its convolutions is {node.domain or 'onnx'}.{node.op_type}, which cannot "
                "be converted to half precision; set detect.precision: f32"
            )
        schema = onnx.defs.get_schema(node.op_type, self._opset)

        def variables(formals: list[onnx.defs.OpSchema.FormalParameter], names: list[str]) -> dict[int, str]:
            # A variadic parameter is the last one, and describes all further inputs or outputs.
            return {
                port: formals[min(port, len(formals) - 1)].type_str
                for port, name in enumerate(names)
                if name in self._floats
            }

        allowing = {one.type_param_str for one in schema.type_constraints if "tensor(float16)" in one.allowed_type_strs}
        inputs = variables(list(schema.inputs), list(node.input))
        outputs = variables(list(schema.outputs), list(node.output))
        shared = allowing & set(inputs.values()) & set(outputs.values())
        return ({port for port, kind in inputs.items() if kind in shared},
                {port for port, kind in outputs.items() if kind in shared})  # fmt: skip

    def _cast(self, node: "onnx.NodeProto") -> tuple[set[int], set[int]]:
        from onnx import TensorProto

        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
                return set(), {0}
        return set(), set()

    def _as_half(self, name: str) -> str:
        from onnx import TensorProto, numpy_helper

        half = _half(name)
        if name in self._half_tensors or half in self._casts:
            return half
        if name not in self._weights:
            return self._convert(name, half, TensorProto.FLOAT16)
        whole = numpy_helper.to_array(self._weights[name])
        is_mask = np.abs(whole) >= _MASK
        with np.errstate(over="ignore"):
            values = np.where(is_mask, np.copysign(_LARGEST, whole), whole).astype(np.float16)
        if not np.isfinite(values).all():
            raise GraphError(
                f"{self._name}: {name} contains numbers beyond 65504, the limit of half precision; set "
                "detect.precision: f32"
            )
        self._graph.initializer.append(numpy_helper.from_array(values, half))
        self._casts[half] = name
        return half

    def _as_float(self, name: str) -> str:
        from onnx import TensorProto

        if name in self._half_tensors and name not in self._casts:
            return self._convert(_half(name), name, TensorProto.FLOAT)
        return name

    def _convert(self, source: str, target: str, kind: int) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node("Cast", [source], [target], name=f"cast/{target}", to=kind))
        self._casts[target] = source
        return target


def _half(name: str) -> str:
    return f"{name}/half"
