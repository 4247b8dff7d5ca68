"""The processes of a run: interrupts, and where they import from."""
