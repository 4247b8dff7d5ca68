"""ONNX graphs that are written, extended or converted for a GPU."""
