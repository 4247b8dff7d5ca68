"""TensorRT on an NVIDIA GPU: graphs are prepared, built into engine files, and run."""
