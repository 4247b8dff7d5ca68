"""Download media's files: complete and checked, or not at all."""
