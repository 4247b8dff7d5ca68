"""TensorRT on an NVIDIA GPU: how a graph is prepared, built into an engine file, and run."""
