"""Read the state of a run from its files, while it works and after it."""
