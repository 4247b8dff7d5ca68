"""The engines: libraries that run a network. Each is imported only when it is used; see table.py."""
