"""Use a folder of the user as the source of media: list it, and read its files in place."""
