"""Replace the parts of an ONNX graph that are constant for a fixed input size."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def fold_constants(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return a graph of fixed size with its constant parts computed: anchors, and the arithmetic on shapes."""
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")  # stored for a batch of any length
    del model.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3  # errors only: removed constants cause warnings
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "folded.onnx")
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(path)
    return onnx.shape_inference.infer_shapes(folded, strict_mode=True, data_prop=True)
