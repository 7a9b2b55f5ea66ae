"""What a warehouse does with a statement: names and rights by Unity Catalog, the work by the engine.

Statements about catalogs, schemas and rights need no engine. Without one, tables exist in the catalog alone: their
columns are what the statements said (top-level ones), or what the log of a table on local files says.
"""

from ..errors import ApiError
from ..principals import Principals
from ..unity.catalogs import Catalogs
from ..unity.columns import BadType
from ..unity.grants import Grants
from ..unity.metastore import Metastore
from ..unity.rights import Rights
from ..unity.securables import Securables
from ..unity.tables import Tables
from .engine import Engine, Result, SqlError, parse_error
from .grants import GrantStatements
from .places import Places, Session, in_sql
from .queries import Queries
from .schemas import SchemaStatements
from .table_ddl import TableStatements
from .words import Words


class Front:
    def __init__(
        self, engine: Engine | None, securables: Securables, rights: Rights, principals: Principals, metastore: Metastore, catalogs: Catalogs, tables: Tables, grants: Grants,
    ):
        self._principals, self._metastore = principals, metastore
        places = Places(securables, rights)
        self._schemas = SchemaStatements(places, catalogs)
        self._grants = GrantStatements(places, grants, principals)
        self._tables = TableStatements(places, tables, engine)
        self._queries = Queries(places, engine)

    async def run(self, owner: str, catalog: str | None, schema: str | None, sql: str) -> Result:
        principal = self._principals.by_id(owner)
        if principal is None:
            raise SqlError("The user who submitted the statement does not exist anymore.", None, "UNAUTHENTICATED")
        session = Session(principal, catalog or self._metastore.assigned()["default_catalog_name"], schema or "default")
        try:
            return await self._dispatch(session, sql)
        except ApiError as error:
            raise in_sql(error) from None
        except BadType as error:
            raise parse_error(f"'{error}'") from None

    async def _dispatch(self, session: Session, sql: str) -> Result:
        for part in (self._schemas, self._grants):
            if (done := part.run(session, Words(sql))) is not None:
                return done
        if (done := await self._tables.run(session, Words(sql))) is not None:
            return done
        return await self._queries.run(session, sql)
