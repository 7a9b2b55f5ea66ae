"""GRANT, REVOKE and SHOW GRANTS."""

from ..principals import Principals
from ..unity.grants import Grants
from ..unity.rights import APPLICABLE
from .engine import Result, SqlError, failed, parse_error
from .places import Places, Session
from .words import Words

TYPES = ("METASTORE", "CATALOG", "SCHEMA", "DATABASE", "TABLE", "EXTERNAL LOCATION", "STORAGE CREDENTIAL")


class GrantStatements:
    def __init__(self, places: Places, grants: Grants, principals: Principals):
        self._places, self._grants, self._principals = places, grants, principals

    def run(self, session: Session, words: Words) -> Result | None:
        if words.takes("GRANT"):
            return self._change(session, words, "TO")
        if words.takes("REVOKE"):
            return self._change(session, words, "FROM")
        if words.takes("SHOW", "GRANTS") or words.takes("SHOW", "GRANT"):
            return self._show(session, words)
        return None

    def _change(self, session: Session, words: Words, direction: str) -> Result:
        privileges = self._privileges(words)
        type, full = self._securable(session, words)
        words.expect(direction)
        principal = words.name()[0]
        words.end()
        if not self._principals.known(principal):
            raise SqlError(f"PRINCIPAL_DOES_NOT_EXIST: Could not find principal with name {principal}", None)
        self._places.rights.need_manage(session.principal, type, full)
        add, remove = (privileges, []) if direction == "TO" else ([], privileges)
        self._grants.change(type, full, principal, add, remove)
        return Result()

    @staticmethod
    def _privileges(words: Words) -> list[str]:
        known = {privilege for privileges in APPLICABLE.values() for privilege in privileges}
        found: list[list[str]] = [[]]
        while not words.takes("ON"):
            if words.takes(","):
                found.append([])
            else:
                found[-1].append(words.take().text.upper())
        privileges = ["_".join(each) for each in found]
        if unknown := [each for each in privileges if each not in known]:
            raise parse_error(f"'{unknown[0].replace('_', ' ')}'")
        return privileges

    def _securable(self, session: Session, words: Words) -> tuple[str, str]:
        type = next((each for each in TYPES if words.takes(*each.split())), "TABLE")
        if type == "METASTORE":
            return "metastore", "metastore"
        parts = words.name()
        if type == "CATALOG":
            return "catalog", self._places.catalog(session, parts)["full_name"]
        if type in ("SCHEMA", "DATABASE"):
            return "schema", self._places.schema(session, parts)["full_name"]
        if type == "TABLE":
            return "table", self._places.table(session, parts)["full_name"]
        kind = type.lower().replace(" ", "_")
        record = self._places.securables.get(kind, parts[0])
        if record is None:
            raise failed(f"{kind.upper()}_DOES_NOT_EXIST", "42704", f"{type.title()} '{parts[0]}' does not exist.")
        return kind, record["full_name"]

    def _show(self, session: Session, words: Words) -> Result:
        only = None if words.takes("ON") else words.name()[0]
        if only is not None:
            words.expect("ON")
        type, full = self._securable(session, words)
        all_seen = self._places.rights.manages(session.principal, type, full)
        columns = [(name, "STRING") for name in ("Principal", "ActionType", "ObjectType", "ObjectKey")]
        rows: list[list[str | None]] = []
        for principal, entries in self._places.rights.effective(type, full).items():
            if only in (None, principal) and (all_seen or principal in session.principal.names()):
                for entry in entries:
                    place = (entry.get("inherited_from_type", type.upper()), entry.get("inherited_from_name", full))
                    rows.append([principal, entry["privilege"].replace("_", " "), *place])
        return Result(columns, rows)
