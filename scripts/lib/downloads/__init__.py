"""Media's files: complete and checked, or not there."""
