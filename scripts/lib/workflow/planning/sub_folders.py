"""Sub-folders for the files of very many media, so that no folder has more than 10,000 entries."""

_FOLDERS = 1_000


def sub_folder(media_id: int) -> str:
    """Return the name of a media's sub-folder: the last three digits of its number, which are evenly distributed."""
    return f"{media_id % _FOLDERS:03d}"


def is_sub_folder(name: str) -> bool:
    """Return whether a name is one of a sub-folder."""
    return len(name) == len(sub_folder(0)) and name.isascii() and name.isdigit()


def file_of(pattern: str, media_id: int, *, in_folders: bool) -> str:
    """Return the path of a media's file, which may be in a sub-folder.

    Args:
        pattern: a path with `{media_id}` in its last part.
        media_id: the media's number.
        in_folders: whether the file is in a sub-folder.
    """
    path = pattern.format(media_id=media_id)
    if not in_folders:
        return path
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sub_folder(media_id)}/{name}"
