"""What the stand-in remembers: named collections of JSON records, kept in memory and written through to SQLite.

`commit` is called before an answer leaves, so whatever a client has been told survives kill -9. (A crash of the
machine may lose it: nothing is synchronised to the disk.)
"""

import json
import sqlite3
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Collection(MutableMapping[str, Record]):
    """Records by key, in the order in which they came. A record changed in place is to be `save`d."""

    def __init__(self, name: str, records: dict[str, Record], dirty: dict[tuple[str, str], None]):
        self._name, self._records, self._dirty = name, records, dirty

    def __getitem__(self, key: str) -> Record:
        return self._records[key]

    def __setitem__(self, key: str, record: Record) -> None:
        self._records[key] = record
        self.save(key)

    def __delitem__(self, key: str) -> None:
        del self._records[key]
        self.save(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def save(self, key: str) -> None:
        self._dirty[self._name, key] = None


class Store:
    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "state.db", isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = off")
        self._db.execute("create table if not exists record (collection text, key text, json text, primary key (collection, key))")
        self._all: dict[str, dict[str, Record]] = {}
        self._dirty: dict[tuple[str, str], None] = {}  # in the order of change, which is that of new records after a restart, too
        for collection, key, text in self._db.execute("select collection, key, json from record order by rowid"):
            self._all.setdefault(collection, {})[key] = json.loads(text)

    def collection(self, name: str) -> Collection:
        return Collection(name, self._all.setdefault(name, {}), self._dirty)

    def commit(self) -> None:
        """Writes what has changed since the last commit, in one transaction."""
        if not self._dirty:
            return
        self._db.execute("begin")
        for collection, key in self._dirty:
            record = self._all[collection].get(key)
            if record is None:
                self._db.execute("delete from record where collection = ? and key = ?", (collection, key))
            else:
                self._db.execute(
                    "insert into record values (?, ?, ?) on conflict do update set json = excluded.json", (collection, key, json.dumps(record)))
        self._db.execute("commit")
        self._dirty.clear()

    def dump(self) -> dict[str, dict[str, Record]]:
        return {name: dict(records) for name, records in self._all.items()}

    def close(self) -> None:
        self.commit()
        self._db.close()
