"""A folder of the user's own files as the source of media: listing it, and reading its files in place."""
