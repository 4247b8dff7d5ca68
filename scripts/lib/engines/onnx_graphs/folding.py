"""Compute in an ONNX graph what its fixed sizes make constant."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def folded(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Compute the parts that a fixed size makes constant: anchors, and the arithmetic on shapes."""
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")  # of the open batch
    del model.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3  # errors; it would warn of constants that it removes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "folded.onnx")
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(path)
    return onnx.shape_inference.infer_shapes(folded, strict_mode=True, data_prop=True)
