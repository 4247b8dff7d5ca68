"""Sub-folders for the files of very many media, so that no folder has more than 10,000 entries."""

_FOLDERS = 1_000


def sub_folder(media_id: int) -> str:
    """Return the last three digits of a media's number, over which numbers of files and of Tator spread evenly."""
    return f"{media_id % _FOLDERS:03d}"


def is_sub_folder(name: str) -> bool:
    """Return whether a folder has the name of a sub-folder."""
    return len(name) == len(sub_folder(0)) and name.isascii() and name.isdigit()


def file_of(pattern: str, media_id: int, *, in_folders: bool) -> str:
    """Return a media's file, which may be in a sub-folder named by the last three digits of its number.

    Args:
        pattern: with `{media_id}` in its last part.
        media_id: the media's number.
        in_folders: whether it is in a sub-folder.
    """
    path = pattern.format(media_id=media_id)
    if not in_folders:
        return path
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sub_folder(media_id)}/{name}"
