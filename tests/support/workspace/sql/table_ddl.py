"""Statements that make, change and forget tables.

An engine does its part on the files; the catalog's columns are then read from the log. An outside writer's changes
come into the catalog the same way: by the next ALTER, or by MSCK REPAIR TABLE … SYNC METADATA.
"""

import asyncio
from typing import Any

from ..store import Record
from ..unity.columns import column, definitions, of_definitions
from ..unity.nested import FieldExists, NoField, added, widened
from ..unity.securables import check_name
from ..unity.tables import Tables
from . import log
from .engine import Engine, Result, Work, failed
from .places import Places, Session
from .queries import rewritten
from .tokens import Token, name, quoted, unquoted
from .words import Words


class TableStatements:
    def __init__(self, places: Places, tables: Tables, engine: Engine | None):
        self._places, self._tables, self._engine = places, tables, engine

    async def run(self, session: Session, words: Words) -> Result | None:
        """None for a statement that is not one of these."""
        if words.takes("CREATE", "TABLE"):
            return await self._create(session, words, replace=False)
        if words.takes("CREATE", "OR", "REPLACE", "TABLE"):
            return await self._create(session, words, replace=True)
        if words.takes("DROP", "TABLE"):
            return self._drop(session, words)
        if words.takes("ALTER", "TABLE"):
            return await self._alter(session, words)
        if words.takes("COMMENT", "ON", "TABLE"):
            return await self._comment(session, words)
        if words.takes("MSCK", "REPAIR", "TABLE"):
            return await self._repair(session, words)
        if words.sees("DESCRIBE") or words.sees("DESC"):
            return self._describe(session, words)
        return None

    async def _columns(self, location: str) -> list[Record] | None:
        """As the log has them."""
        if self._engine is None:
            found = log.columns(location)
        else:
            found = await asyncio.to_thread(self._engine.columns, location)
        return None if found is None else [column(each["name"], each["type"], i, each["nullable"], each.get("comment")) for i, each in enumerate(found)]

    async def _create(self, session: Session, words: Words, replace: bool) -> Result:
        tolerant = words.takes("IF", "NOT", "EXISTS")
        first = words.at
        parts = words.name()
        after = words.at
        schema = self._places.schema(session, parts[:-1] or [session.schema])
        catalog, schema_name = schema["full_name"].split(".")
        full = f"{schema['full_name']}.{check_name(parts[-1], 'CreateTable')}"
        principal = session.principal
        existing, into = self._places.securables.get("table", full), self._places.rights.into(catalog, schema_name)
        if existing and tolerant:
            self._places.need(session, *into)
            return Result()
        self._places.need(session, *into, ("CREATE_TABLE", "schema", schema["full_name"]))
        if existing and not replace:
            text = f"Cannot create table or view {name(*full.split('.')[1:])} because it already exists. Choose a different name, drop or replace the existing object, or add the IF NOT EXISTS clause to tolerate pre-existing objects."
            raise failed("TABLE_OR_VIEW_ALREADY_EXISTS", "42P07", text)
        definitions = words.parenthesised() if words.sees("(") else []
        clauses = _clauses(words)
        location_token = clauses.get("LOCATION")
        if location_token is not None:
            location = self._tables.check_place(principal, full, unquoted(location_token))
        else:
            location = existing["storage_location"] if existing else self._tables.managed_location(full)
        await self._make(session, words, first, after, location_token, location)
        columns = await self._columns(location)
        if columns is None:
            columns = of_definitions(definitions)
            if not columns and self._engine is None:
                raise failed("DELTA_SCHEMA_NOT_PROVIDED", "42601", "Table schema is not provided. Please provide the schema (column definition) of the table when using CREATE table "
                             "and an AS SELECT query is not provided.")
        if existing:
            self._tables.forget(full)
        fields: dict[str, Any] = {"properties": clauses["properties"]}
        if comment := clauses.get("COMMENT"):
            fields["comment"] = unquoted(comment)
        self._tables.register(principal, full, location, columns, managed=location_token is None, **fields)
        return Result()

    async def _make(self, session: Session, words: Words, first: int, after: int, location_token: Token | None, location: str) -> None:
        """The engine's part: the same statement, under a name that it may choose, at the location in its spelling."""
        if self._engine is None:
            return
        head, tail = words.sql[:words.tokens[first].start], words.sql[words.tokens[after - 1].end:]
        if location_token is not None:
            start, end = (at - words.tokens[after - 1].end for at in (location_token.start, location_token.end))
            tail = f"{tail[:start]}{quoted(location)}{tail[end:]}"
        else:
            split = next((t.start - words.tokens[after - 1].end for t in words.tokens[after:] if t.is_word("AS")), len(tail.rstrip().rstrip(";")))
            tail = f"{tail[:split]} LOCATION {quoted(location)} {tail[split:]}"
        text, _ = rewritten(self._places, session, tail)
        await asyncio.to_thread(self._engine.create, f"{head}{{name}}{text}", location)

    def _drop(self, session: Session, words: Words) -> Result:
        tolerant, parts = words.takes("IF", "EXISTS"), words.name()
        words.takes("PURGE")
        words.end()
        if tolerant and self._places.securables.get("table", self._places.table_name(session, parts)) is None:
            return Result()
        full = self._places.table(session, parts)["full_name"]
        self._places.rights.need_manage(session.principal, "table", full)
        self._tables.forget(full)
        return Result()

    async def _alter(self, session: Session, words: Words) -> Result:
        parts = words.name()
        record = self._places.table(session, parts)
        full = record["full_name"]
        if words.takes("RENAME", "TO"):
            return self._rename(session, words, record)
        if words.takes("SET", "TAGS") or words.takes("UNSET", "TAGS"):
            self._places.need(session, ("APPLY_TAG", "table", full))
            return Result()
        if words.takes("OWNER", "TO") or words.takes("SET", "OWNER", "TO"):
            self._places.rights.need_manage(session.principal, "table", full)
            record["owner"] = words.name()[0]
            self._places.securables.touch("table", record, session.principal.name)
            return Result()
        self._places.need(session, ("MODIFY", "table", full))
        if self._engine is None:
            self._alter_catalog(words, record)
        else:
            text, names = rewritten(self._places, session, words.sql)
            await asyncio.to_thread(self._engine.run, Work(text, names))
            await self._sync(record)
        self._set_properties(words, record)
        self._places.securables.touch("table", record, session.principal.name)
        return Result()

    def _rename(self, session: Session, words: Words, record: Record) -> Result:
        full = record["full_name"]
        self._places.rights.need_manage(session.principal, "table", full)
        target = self._places.table_name(session, [*full.split(".")[:3 - 1], *words.name()][-3:])
        self._tables.forget(full)
        kept = {key: record[key] for key in ("columns", "properties", "comment") if key in record}
        self._tables.register(session.principal, target, record["storage_location"], kept.pop("columns"), record["table_type"] == "MANAGED", **kept)
        return Result()

    def _alter_catalog(self, words: Words, record: Record) -> None:
        """Without an engine: top-level columns, as the statement says."""
        columns = record["columns"]
        if words.takes("ADD", "COLUMNS") or words.takes("ADD", "COLUMN"):
            words.takes("IF", "NOT", "EXISTS")
            for definition in definitions(words.parenthesised() if words.sees("(") else words.rest()):
                self._add(columns, definition)
        elif words.takes("ALTER", "COLUMN") or words.takes("CHANGE", "COLUMN"):
            parts = words.name()
            if words.takes("TYPE"):
                try:
                    widened(columns, parts, " ".join(token.text for token in words.rest()))
                except NoField as error:
                    raise failed("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703", f"A column with name {name(str(error))} cannot be resolved.") from None

    @staticmethod
    def _add(columns: list[Record], definition: list[Token]) -> None:
        path = definition[:1 + next((i for i in range(0, len(definition), 2) if definition[i + 1:i + 2] and definition[i + 1].text != "."), len(definition))]
        parts = [token.identifier or "" for token in path if token.text != "."]
        new = of_definitions([path[-1], *definition[len(path):]], len(columns))[0]
        try:
            if len(parts) > 1:
                added(columns, parts, new["type_text"])
                return
        except NoField as error:
            raise failed("FIELD_NOT_FOUND", "42704", f"No such struct field {name(str(error))}.") from None
        except FieldExists:
            pass
        if len(parts) > 1 or any(old["name"].lower() == parts[0].lower() for old in columns):
            raise failed("FIELD_ALREADY_EXISTS", "42710", f"Cannot add column, because {name(parts[-1])} already exists in the table's schema.")
        columns.append(new)

    @staticmethod
    def _set_properties(words: Words, record: Record) -> None:
        scan = Words(words.sql)
        while not scan.done:
            if scan.takes("SET", "TBLPROPERTIES"):
                record["properties"] |= _properties(scan.parenthesised())
            elif scan.takes("UNSET", "TBLPROPERTIES"):
                scan.takes("IF", "EXISTS")
                for key in _properties(scan.parenthesised()):
                    record["properties"].pop(key, None)
            else:
                scan.take()

    async def _comment(self, session: Session, words: Words) -> Result:
        record = self._places.table(session, words.name())
        words.expect("IS")
        comment = None if words.takes("NULL") else words.string()
        if not self._places.rights.has(session.principal, "MODIFY", "table", record["full_name"]):
            self._places.rights.need_manage(session.principal, "table", record["full_name"])
        if self._engine is not None:
            text, names = rewritten(self._places, session, words.sql)
            await asyncio.to_thread(self._engine.run, Work(text, names))
        record["comment"] = comment
        self._places.securables.touch("table", record, session.principal.name)
        return Result()

    async def _repair(self, session: Session, words: Words) -> Result:
        record = self._places.table(session, words.name())
        words.expect("SYNC", "METADATA")
        self._places.need(session, ("MODIFY", "table", record["full_name"]))
        await self._sync(record)
        self._places.securables.touch("table", record, session.principal.name)
        return Result()

    async def _sync(self, record: Record) -> None:
        columns = await self._columns(record["storage_location"])
        if columns is not None:
            record["columns"] = columns

    def _describe(self, session: Session, words: Words) -> Result | None:
        """DESCRIBE TABLE shows the catalog's columns; DESCRIBE DETAIL, HISTORY and EXTENDED are the engine's."""
        words.take()
        if words.one_of("DETAIL", "HISTORY", "CATALOG", "SCHEMA", "DATABASE", "FUNCTION", "QUERY"):
            return None
        words.takes("TABLE")
        if words.takes("EXTENDED") or words.takes("FORMATTED"):
            return None
        record = self._places.table(session, words.name())
        words.end()
        columns = [("col_name", "STRING"), ("data_type", "STRING"), ("comment", "STRING")]
        return Result(columns, [[each["name"], each["type_text"], each.get("comment")] for each in record["columns"]])


def _clauses(words: Words) -> dict[str, Any]:
    """The strings of LOCATION and COMMENT, and the properties, of a CREATE TABLE, as far as AS."""
    found: dict[str, Any] = {"properties": {}}
    while not words.done and not words.sees("AS"):
        if words.sees("LOCATION") or words.sees("COMMENT"):
            key = words.take().text.upper()
            found[key] = words.next
            words.string()
        elif words.takes("TBLPROPERTIES"):
            found["properties"] = _properties(words.parenthesised())
        elif words.sees("("):
            words.parenthesised()
        else:
            words.take()
    return found


def _properties(tokens: list[Token]) -> dict[str, str]:
    found, key, value, seen = {}, "", "", False
    for token in [*tokens, None]:
        if token is None or token.text == ",":
            if key:
                found[key] = value
            key = value = ""
            seen = False
        elif token.text == "=":
            seen = True
        else:
            text = unquoted(token) if token.kind == "string" else token.text
            key, value = (key, value + text) if seen else (key + text, value)
    return found
