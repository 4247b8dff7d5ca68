"""HTTP for all parts of the workflow: without password files, with time-outs, limits, and checks of addresses."""
