"""Statements about catalogs and schemas."""

from ..unity.catalogs import Catalogs
from .engine import Result, failed
from .places import Places, Session
from .tokens import name
from .words import Words


class SchemaStatements:
    """`run` gives None for a statement that is not one of these."""

    def __init__(self, places: Places, catalogs: Catalogs):
        self._places, self._catalogs = places, catalogs

    def run(self, session: Session, words: Words) -> Result | None:
        if words.takes("CREATE", "CATALOG"):
            return self._create_catalog(session, words)
        if words.takes("CREATE", "SCHEMA") or words.takes("CREATE", "DATABASE"):
            return self._create_schema(session, words)
        if words.takes("DROP", "SCHEMA") or words.takes("DROP", "DATABASE"):
            return self._drop(session, words, "schema")
        if words.takes("DROP", "CATALOG"):
            return self._drop(session, words, "catalog")
        if words.sees("COMMENT", "ON") and words.tokens[2:3] and words.tokens[2].is_word("SCHEMA", "DATABASE", "CATALOG"):
            return self._comment(session, words)
        if words.takes("SHOW", "CATALOGS"):
            names = [each for each in self._places.securables.catalogs if self._places.rights.visible(session.principal, "catalog", each)]
            return Result([("catalog", "STRING")], [[each] for each in sorted(names)])
        if words.takes("SHOW", "SCHEMAS") or words.takes("SHOW", "DATABASES"):
            return self._show_schemas(session, words)
        if words.takes("SHOW", "TABLES"):
            return self._show_tables(session, words)
        if words.takes("USE"):  # accepted, and forgotten with the statement: there are no sessions
            words.one_of("CATALOG", "SCHEMA", "DATABASE")
            words.name()
            return Result()
        return None

    @staticmethod
    def _clauses(words: Words) -> dict[str, object]:
        fields: dict[str, object] = {}
        while not words.done:
            if words.takes("COMMENT"):
                fields["comment"] = words.string()
            elif words.takes("MANAGED", "LOCATION"):
                fields["storage_root"] = words.string()
            elif words.takes("WITH", "DBPROPERTIES"):
                words.parenthesised()
            else:
                words.end()
        return fields

    def _create_catalog(self, session: Session, words: Words) -> Result:
        tolerant = words.takes("IF", "NOT", "EXISTS")
        catalog = words.name()[0]
        fields = self._clauses(words)
        if not (tolerant and self._places.securables.get("catalog", catalog)):
            self._catalogs.make_catalog(session.principal, catalog, **fields)
        return Result()

    def _create_schema(self, session: Session, words: Words) -> Result:
        tolerant = words.takes("IF", "NOT", "EXISTS")
        catalog, schema = self._places.schema_name(session, words.name())
        fields = self._clauses(words)
        self._places.catalog(session, [catalog])
        # The right is asked for even where there is nothing to be done.
        self._places.need(session, *self._places.rights.into(catalog), ("CREATE_SCHEMA", "catalog", catalog))
        if self._places.securables.get("schema", f"{catalog}.{schema}"):
            if tolerant:
                return Result()
            text = f"Cannot create schema {name(catalog, schema)} because it already exists. Choose a different name, drop or replace the existing schema, or add the IF NOT EXISTS clause."
            raise failed("SCHEMA_ALREADY_EXISTS", "42P06", text)
        self._catalogs.make_schema(session.principal, catalog, schema, **fields)
        return Result()

    def _drop(self, session: Session, words: Words, type: str) -> Result:
        tolerant, parts = words.takes("IF", "EXISTS"), words.name()
        cascade = words.one_of("CASCADE", "RESTRICT") == "CASCADE"
        words.end()
        full = parts[0].lower() if type == "catalog" else ".".join(self._places.schema_name(session, parts))
        if tolerant and self._places.securables.get(type, full) is None:
            return Result()
        record = self._places.catalog(session, parts) if type == "catalog" else self._places.schema(session, parts)
        if not cascade and set(self._places.securables.below(type, record["full_name"])) - {f"{full}.default", f"{full}.information_schema"}:
            raise failed("SCHEMA_NOT_EMPTY", "2BP01", f"Cannot drop a schema {name(*full.split('.'))} because it contains objects. Use DROP SCHEMA ... CASCADE to drop the schema and all its objects.")
        self._catalogs.drop(session.principal, type, record["full_name"], force=True)
        return Result()

    def _comment(self, session: Session, words: Words) -> Result:
        words.expect("COMMENT", "ON")
        type = "catalog" if words.one_of("CATALOG", "SCHEMA", "DATABASE") == "CATALOG" else "schema"
        record = self._places.catalog(session, words.name()) if type == "catalog" else self._places.schema(session, words.name())
        words.expect("IS")
        comment = None if words.takes("NULL") else words.string()
        self._places.rights.need_manage(session.principal, type, record["full_name"])
        record["comment"] = comment
        self._places.securables.touch(type, record, session.principal.name)
        return Result()

    def _show_schemas(self, session: Session, words: Words) -> Result:
        catalog = self._places.catalog(session, words.name() if words.one_of("IN", "FROM") else [])["full_name"]
        names = self._places.securables.below("catalog", catalog)
        seen = [each.partition(".")[2] for each in names if self._places.rights.visible(session.principal, "schema", each)]
        return Result([("databaseName", "STRING")], [[each] for each in sorted(seen)])

    def _show_tables(self, session: Session, words: Words) -> Result:
        schema = self._places.schema(session, words.name() if words.one_of("IN", "FROM") else [session.schema])["full_name"]
        catalog = schema.partition(".")[0]
        rights = self._places.rights
        if not (rights.manages(session.principal, "schema", schema) or all(rights.has(session.principal, *need) for need in rights.into(*schema.split(".")))):
            self._places.need(session, ("BROWSE", "catalog", catalog))
        names = [each for each in self._places.securables.below("schema", schema) if rights.visible(session.principal, "table", each)]
        rows: list[list[str | None]] = [[schema.partition(".")[2], each.rpartition(".")[2], "false"] for each in sorted(names)]
        return Result([("database", "STRING"), ("tableName", "STRING"), ("isTemporary", "BOOLEAN")], rows)
