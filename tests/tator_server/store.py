"""The server's state: one SQLite file in the state folder.

There is one connection with a lock: requests are served one at a time, each in its own transaction. A transaction can
be held back (`held_back`): its statements and row ids are chosen at once, from the rows visible then, and its rows are
not visible before it commits. So two writers race as on PostgreSQL.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Record = dict[str, Any]

# Kinds whose records are stored as one JSON document each.
KINDS = (
    *("user", "project", "media_type", "localization_type", "state_type", "version", "media"),
    *("algorithm", "manifest", "job_cluster", "section"),
)

_TABLES = "".join(
    f"CREATE TABLE IF NOT EXISTS {kind} (id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER, body TEXT NOT NULL);\n"
    for kind in KINDS
) + (
    # An object of the store: `folder` is "media" or "objects", `path` is inside it.
    "CREATE TABLE IF NOT EXISTS object (key TEXT PRIMARY KEY, folder TEXT, path TEXT, size INTEGER, etag TEXT);\n"
    # A row is one mark of a box. `shape` is JSON, because SQLite would keep NaN as NULL.
    "CREATE TABLE IF NOT EXISTS localization (id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER, type INTEGER,"
    " media INTEGER, version INTEGER, elemental_id TEXT, mark INTEGER, variant_deleted INTEGER DEFAULT 0,"
    " frame INTEGER, shape TEXT, attributes TEXT, parent INTEGER, created_by INTEGER, created_datetime TEXT,"
    " modified_by INTEGER, modified_datetime TEXT);\n"
    "CREATE INDEX IF NOT EXISTS localization_mark ON localization (elemental_id, version, mark);\n"
    "CREATE INDEX IF NOT EXISTS localization_media ON localization (media, version);\n"
    # Pruned boxes, which states may still have.
    "CREATE TABLE IF NOT EXISTS pruned_localization (id INTEGER PRIMARY KEY, project INTEGER, frame INTEGER);\n"
    "CREATE TRIGGER IF NOT EXISTS pruned AFTER DELETE ON localization BEGIN"
    " INSERT OR REPLACE INTO pruned_localization VALUES (OLD.id, OLD.project, OLD.frame); END;\n"
    "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER, type INTEGER,"
    " version INTEGER, elemental_id TEXT, mark INTEGER, variant_deleted INTEGER DEFAULT 0, deleted INTEGER DEFAULT 0,"
    " hidden INTEGER DEFAULT 0, frame INTEGER, attributes TEXT, parent INTEGER, segments TEXT, created_by INTEGER,"
    " created_datetime TEXT, modified_by INTEGER, modified_datetime TEXT);\n"
    "CREATE INDEX IF NOT EXISTS state_mark ON state (elemental_id, version, mark);\n"
    "CREATE TABLE IF NOT EXISTS state_media (state INTEGER, media INTEGER, PRIMARY KEY (state, media));\n"
    "CREATE INDEX IF NOT EXISTS state_of_media ON state_media (media);\n"
    "CREATE TABLE IF NOT EXISTS state_localization (state INTEGER, localization INTEGER,"
    " PRIMARY KEY (state, localization));\n"
    "CREATE INDEX IF NOT EXISTS state_of_box ON state_localization (localization);\n"
    "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT);\n"
)


# Called before the transactions of this request commit, or None.
HELD_BACK: ContextVar[Callable[[], None] | None] = ContextVar("HELD_BACK", default=None)
# Number of links of states to boxes after which the database's connection ends in this request, or None.
LINKS: ContextVar[int | None] = ContextVar("LINKS", default=None)


class Clock:
    """The server's clock, which may be ahead of or behind that of its clients."""

    ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


clock = Clock()


def now() -> str:
    """Return the time as Tator writes it."""
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """Records by kind and id; `with store.transaction():` around everything that belongs together."""

    def __init__(self, state: Path, media: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.folders = {"media": media, "objects": state / "objects"}
        self.folders["objects"].mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self._journal: list[tuple[str, tuple[object, ...]]] | None = None
        self._locked: dict[tuple[str, int], object] = {}
        self._db = sqlite3.connect(state / "tator.sqlite", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # the state has to survive the process, but not the machine
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes of the block, or none of them."""
        with self._lock:
            if self._db.in_transaction:  # part of a larger one
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def held_back(self, wait: Callable[[], None]) -> Iterator[None]:
        """Keep all changes of the block, or none, and show them to others only after `wait` has returned.

        The changes are undone and repeated at the commit. Their ids remain reserved, as those of a sequence do.
        """
        journal: list[tuple[str, tuple[object, ...]]] = []
        try:
            yield from self._journaled(journal)
            wait()
            with self.transaction():
                for query, values in journal:
                    self._db.execute(query, values)
        finally:
            with self._lock:
                self._locked = {row: owner for row, owner in self._locked.items() if owner is not journal}

    def _journaled(self, journal: list[tuple[str, tuple[object, ...]]]) -> Iterator[None]:
        """Record the changes of a block in the journal, and undo them."""
        with self._lock:
            self._db.execute("BEGIN")
            self._journal = journal
            try:
                yield
                taken = [(row["name"], row["seq"]) for row in self._db.execute("SELECT name, seq FROM sqlite_sequence")]
            finally:
                self._journal = None
                self._db.execute("ROLLBACK")
            for name, last in taken:
                changed = self._db.execute("UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?", (last, name))
                if not changed.rowcount:  # undoing the first rows of a table removes its line
                    self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, last))

    def lock(self, kind: str, id: int) -> bool:
        """Lock a record for this transaction until it commits; return False if another transaction has it."""
        owner = self._locked.get((kind, id))
        if self._journal is not None and owner is None:
            self._locked[kind, id] = self._journal
        return owner is None or owner is self._journal

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def execute(self, query: str, *values: object) -> int:
        """Run a statement and return the last row's id."""
        with self._lock:
            if self._journal is not None:
                self._journal.append((query, values))
            return self._db.execute(query, values).lastrowid or 0

    def setting(self, name: str, default: str) -> str:
        """Return a setting; if it does not exist, store and return `default`."""
        with self.transaction():
            self.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", name, default)
            return str(self.rows("SELECT value FROM setting WHERE name = ?", name)[0]["value"])

    def change_setting(self, name: str, value: str) -> None:
        """Set a setting."""
        self.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, value)

    def add(self, kind: str, body: Record, *, id: int | None = None) -> int:
        """Add a record of a kind, at `id` or the next free one, and return its id."""
        body = {key: value for key, value in body.items() if key != "id"}
        if id is None:  # chosen now, as for boxes, also if the transaction commits later
            last = self.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", kind)
            id = last[0]["seq"] + 1 if last else 1
        statement = f"INSERT INTO {kind} (id, project, body) VALUES (?, ?, ?)"
        return self.execute(statement, id, body.get("project"), json.dumps(body))

    def all(self, kind: str, project: int | None = None) -> list[Record]:
        """Return the records of a kind by id, of one project if given."""
        where, values = ("", ()) if project is None else (" WHERE project = ?", (project,))
        found = self.rows(f"SELECT id, body FROM {kind}{where} ORDER BY id", *values)
        return [{"id": row["id"], **json.loads(row["body"])} for row in found]

    def find(self, kind: str, id: int) -> Record | None:
        """Return one record, or None."""
        found = self.rows(f"SELECT id, body FROM {kind} WHERE id = ?", id)
        return {"id": id, **json.loads(found[0]["body"])} if found else None

    def change(self, kind: str, id: int, **fields: object) -> None:
        """Set fields of a record."""
        body = {key: value for key, value in (self.find(kind, id) or {}).items() if key != "id"} | fields
        self.execute(f"UPDATE {kind} SET project = ?, body = ? WHERE id = ?", body.get("project"), json.dumps(body), id)

    def object_path(self, key: str) -> Path | None:
        """Return the file of an object of the store, or None."""
        found = self.rows("SELECT folder, path FROM object WHERE key = ?", key)
        path = self.folders[found[0]["folder"]] / found[0]["path"] if found else None
        return path if path and path.is_file() else None

    def remove(self, kind: str, id: int) -> None:
        """Remove a record; its id is not used again."""
        self.execute(f"DELETE FROM {kind} WHERE id = ?", id)
