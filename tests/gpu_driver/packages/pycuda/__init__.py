"""Stand-in for the package `pycuda`, for jobs."""
