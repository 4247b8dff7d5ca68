"""The libraries that run a network, each in a module of its own that imports its library on use; see table.py."""
