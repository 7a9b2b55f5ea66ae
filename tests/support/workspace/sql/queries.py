"""Everything that is not DDL: tables are found, rights are asked, and names become the paths that an engine reads."""

import asyncio

from ..store import Record
from .engine import Engine, Result, SqlError, Work, failed
from .places import Places, Session
from .simple import select
from .tokens import Token, name, tokens

# After which a name is a table's.
BEFORE_TABLE = ("FROM", "JOIN", "INTO", "TABLE", "UPDATE", "USING", "DETAIL", "HISTORY", "OPTIMIZE", "VACUUM", "EXTENDED", "OVERWRITE")
WRITING = ("INSERT", "MERGE", "UPDATE", "DELETE", "TRUNCATE", "OPTIMIZE", "VACUUM", "RESTORE", "COPY", "REORG")


def chains(sql: str) -> list[tuple[list[Token], list[str], Token | None]]:
    """The names of a text: their tokens, their parts, and the word before each."""
    found: list[tuple[list[Token], list[str], Token | None]] = []
    before: Token | None = None
    chain: list[Token] = []
    for token in [token for token in tokens(sql) if token.kind not in ("space", "comment")] + [None]:
        joins = token is not None and chain and ((token.text == ".") != (chain[-1].text == ".")) and (token.text == "." or token.identifier is not None)
        if joins and token is not None:
            chain.append(token)
            continue
        if chain:
            parts = [each.identifier for each in chain if each.text != "."]
            found.append((chain, [part for part in parts if part is not None], before))
            before = chain[-1]
        chain = []
        if token is not None and token.identifier is not None:
            chain = [token]
        elif token is not None:
            before = token
    return found


def tables_in(places: Places, session: Session, sql: str) -> list[tuple[list[Token], Record]]:
    """The tables that a text names. A name of three parts may stand anywhere; a shorter one is a table where one is due."""
    found = []
    common = _common_names(sql)
    for chain, parts, before in chains(sql):
        due = before is not None and before.is_word(*BEFORE_TABLE)
        if chain[0].is_word(*BEFORE_TABLE, "SET", "SELECT") and len(parts) == 1:  # … THEN UPDATE SET, INSERT INTO TABLE
            continue
        if len(parts) == 3 or (due and len(parts) < 3):
            record = places.securables.get("table", places.table_name(session, parts))
            if record is not None:
                found.append((chain, places.table(session, parts)))
            elif due and not (len(parts) == 1 and parts[0].lower() in common) and parts[0].lower() not in ("delta", "json", "csv", "parquet") and not _called(sql, chain):
                raise places.no_table(places.table_name(session, parts))
    return found


def _common_names(sql: str) -> set[str]:
    """Names of common table expressions."""
    every = [token for token in tokens(sql) if token.kind not in ("space", "comment")]
    return {(a.identifier or "").lower() for a, b, c in zip(every, every[1:], every[2:], strict=False) if a.identifier and b.is_word("AS") and c.text == "("}


def _called(sql: str, chain: list[Token]) -> bool:
    """Whether it is a function's name."""
    return sql[chain[-1].end:].lstrip().startswith("(") or sql[chain[0].start:chain[0].end].upper() in ("VALUES", "LATERAL", "IDENTIFIER", "ONLY", "DELTA")


def rewritten(places: Places, session: Session, sql: str) -> tuple[str, dict[str, str]]:
    """(the text with tables named by their locations, location → full name)."""
    out, names, end = [], {}, 0
    for chain, record in tables_in(places, session, sql):
        out += [sql[end:chain[0].start], f"delta.{name(record['storage_location'])}"]
        names[record["storage_location"]] = record["full_name"]
        end = chain[-1].end
    return "".join([*out, sql[end:]]), names


class Queries:
    def __init__(self, places: Places, engine: Engine | None):
        self._places, self._engine = places, engine

    async def run(self, session: Session, sql: str) -> Result:
        found = tables_in(self._places, session, sql)
        verb = next((token for token in tokens(sql) if token.kind not in ("space", "comment")), None)
        writes = verb is not None and verb.is_word(*WRITING)
        for position, (_, record) in enumerate(found):
            self._places.need(session, ("MODIFY" if writes and position == 0 else "SELECT", "table", record["full_name"]))
        if verb is not None and verb.is_word("CREATE", "DROP") and not found:
            raise failed("UNSUPPORTED_FEATURE", "0A000", "The stand-in does not make such things.")
        try:
            return select(sql, self._functions(session))
        except SqlError:
            if self._engine is None:
                raise
        text, names = rewritten(self._places, session, sql)
        result = await asyncio.to_thread(self._engine.run, Work(text, names))
        return self._named(result, names) if verb is not None and verb.is_word("DESCRIBE", "DESC") else result

    def _functions(self, session: Session) -> dict[str, str]:
        """What only the catalog knows; a query of such things and literals needs no engine."""
        user = session.principal.name
        return {
            "current_user": user, "session_user": user, "user": user, "current_catalog": session.catalog, "current_schema": session.schema,
            "current_database": session.schema, "current_metastore": self._places.securables.metastore["metastore_id"], "version": "4.2.0 stand-in",
        }

    @staticmethod
    def _named(result: Result, names: dict[str, str]) -> Result:
        """DESCRIBE DETAIL of a path knows no name."""
        titles = [title for title, _ in result.columns]
        if {"name", "location"} <= set(titles) and len(names) == 1:
            (location, full), = names.items()
            for row in result.rows:
                row[titles.index("name")], row[titles.index("location")] = full, location
        return result
