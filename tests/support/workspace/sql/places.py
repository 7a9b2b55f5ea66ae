"""Names in a statement: completed by the session's catalog and schema, and found or missed in the words of SQL."""

from dataclasses import dataclass

from ..errors import ApiError
from ..principals import Principal
from ..store import Record
from ..unity.rights import Denied, Need, Rights
from ..unity.securables import Securables
from .engine import SqlError, failed
from .tokens import name


@dataclass
class Session:
    """Who runs the statement, and where names without a catalog or a schema belong."""

    principal: Principal
    catalog: str
    schema: str


def in_sql(error: ApiError) -> SqlError:
    """A refusal of the catalog, as SQL words it."""
    if isinstance(error, Denied):
        if "CREATE SCHEMA" in error.words or "BROWSE" in error.words:
            return SqlError(f"PERMISSION_DENIED: {error.words} SQLSTATE: 42501", "42501")
        return failed("INSUFFICIENT_PERMISSIONS", "42501", f"Insufficient privileges:\n{error.words}")
    if error.status == 403:
        return failed("UNAUTHORIZED_ACCESS", "42501", f"Unauthorized access:\nPERMISSION_DENIED: {error.message}")
    return SqlError(f"{error.code}: {error.message}", None)


class Places:
    def __init__(self, securables: Securables, rights: Rights):
        self.securables, self.rights = securables, rights

    def catalog(self, session: Session, parts: list[str]) -> Record:
        return self._catalog((parts or [session.catalog])[0])

    def _catalog(self, catalog: str) -> Record:
        record = self.securables.get("catalog", catalog)
        if record is None:
            text = f"Catalog '{catalog.lower()}' was not found. Please verify the catalog name and then retry the query or command again."
            raise failed("NO_SUCH_CATALOG_EXCEPTION", "42704", text)
        return record

    def schema_name(self, session: Session, parts: list[str]) -> tuple[str, str]:
        """(catalog, schema) in lower case; whether they exist is not looked at."""
        if len(parts) > 2:
            raise failed("REQUIRES_SINGLE_PART_NAMESPACE", "42K05", f"A schema has two parts, but got {name(*parts)}.")
        catalog = parts[0] if len(parts) == 2 else session.catalog
        return catalog.lower(), parts[-1].lower()

    def schema(self, session: Session, parts: list[str]) -> Record:
        catalog, schema = self.schema_name(session, parts)
        self._catalog(catalog)
        record = self.securables.get("schema", f"{catalog}.{schema}")
        if record is None:
            text = (f"The schema {name(catalog, schema)} cannot be found. Verify the spelling and correctness of the schema and catalog. If you did not qualify the "
                    "name with a catalog, verify the current_schema() output, or qualify the name with the correct catalog. To tolerate the error on drop use DROP "
                    "SCHEMA IF EXISTS.")
            raise failed("SCHEMA_NOT_FOUND", "42704", text)
        return record

    def table_name(self, session: Session, parts: list[str]) -> str:
        """The full name in lower case; whether there is such a table is not looked at."""
        if len(parts) > 3:
            raise failed("IDENTIFIER_TOO_MANY_NAME_PARTS", "42601", f"{name(*parts)} is not a valid identifier as it has more than 3 name parts.")
        return ".".join([session.catalog, session.schema][:3 - len(parts)] + parts).lower()

    def table(self, session: Session, parts: list[str]) -> Record:
        """A table that the session may know of: one whose schema it may not use is as if it were not there."""
        full = self.table_name(session, parts)
        record, (catalog, schema, _) = self.securables.get("table", full), full.split(".", 2)
        seen = self.rights.manages(session.principal, "table", full) or all(self.rights.has(session.principal, *need) for need in self.rights.into(catalog, schema))
        if record is None or not (seen or self.rights.has(session.principal, "BROWSE", "catalog", catalog)):
            raise self.no_table(full)
        return record

    @staticmethod
    def no_table(full: str) -> SqlError:
        text = (f"The table or view {name(*full.split('.'))} cannot be found. Verify the spelling and correctness of the schema and catalog. If you did not qualify "
                "the name with a schema, verify the current_schema() output, or qualify the name with the correct schema and catalog. To tolerate the error on drop "
                "use DROP VIEW IF EXISTS or DROP TABLE IF EXISTS.")
        return failed("TABLE_OR_VIEW_NOT_FOUND", "42P01", text)

    def need(self, session: Session, *needs: Need) -> None:
        self.rights.need(session.principal, *needs)
