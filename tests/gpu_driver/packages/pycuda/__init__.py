"""What `import pycuda` finds there."""
