"""Create SQLite tables in a temporary file, for runs of a million media."""

import sqlite3


def temporary_tables(script: str) -> sqlite3.Connection:
    """Return a connection to new tables in a temporary file.

    The file is removed when the connection is closed or the process ends.

    Args:
        script: the SQL statements that create the tables.
    """
    tables = sqlite3.connect("")  # an empty name makes SQLite use a temporary file
    tables.executescript(f"PRAGMA journal_mode = OFF; {script}")
    return tables


def as_key(name: str) -> bytes:
    """Return a name as SQLite can store it: names of files and in Tator may contain lone surrogates."""
    return name.encode("utf-8", "surrogatepass")
