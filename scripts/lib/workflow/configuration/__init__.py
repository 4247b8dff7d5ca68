"""The settings of a run: where they are read, checked and completed."""
