"""Tests that need a machine with an NVIDIA GPU: `make test-gpu`."""
