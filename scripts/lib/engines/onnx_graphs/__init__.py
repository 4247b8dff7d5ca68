"""ONNX graphs that are written, extended or converted, most of them for a GPU."""
