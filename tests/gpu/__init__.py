"""What only a machine with an NVIDIA GPU can run: `make test-gpu`."""
