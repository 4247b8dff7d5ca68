"""The engines, the libraries that run a network; each module imports its library on use; see table.py."""
