"""Register the workflow as an algorithm of a Tator project."""
