"""The workflow as an algorithm of a Tator project."""
