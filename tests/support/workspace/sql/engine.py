"""What runs SQL: the contract between the statement API and an engine.

An engine is asked from a thread and answers with a `Result` or raises `SqlError`. Values come as the API shows them:
strings, or None for NULL.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol


class SqlError(Exception):
    """A statement failed. `message` begins with the error's class in brackets and says its SQLSTATE."""

    def __init__(self, message: str, sql_state: str | None, error_code: str = "BAD_REQUEST"):
        super().__init__(message)
        self.message, self.sql_state, self.error_code = message, sql_state, error_code

    def as_json(self) -> dict[str, Any]:
        return {"message": self.message, "sql_state": self.sql_state, "error_code": self.error_code}


def failed(condition: str, sql_state: str, text: str) -> SqlError:
    return SqlError(f"[{condition}] {text} SQLSTATE: {sql_state}", sql_state)


def parse_error(near: str, position: int = 0) -> SqlError:
    return SqlError(f"[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601 (line 1, pos {position})", "42601")


@dataclass
class Result:
    """`columns` are (name, SQL type) pairs; no columns is a statement that returns nothing."""

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"columns": [list(column) for column in self.columns], "rows": self.rows}

    @staticmethod
    def of(value: dict[str, Any]) -> "Result":
        return Result([(name, type) for name, type in value.get("columns", [])], value.get("rows", []))


@dataclass
class Work:
    """A statement as an engine gets it: markers bound, tables named by their paths, and what it is called in messages."""

    sql: str
    names: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    def run(self, work: Work) -> Result: ...

    def columns(self, location: str) -> list[dict[str, Any]] | None:
        """The columns of the Delta table there as (name, type, nullable, comment) objects; None where there is none."""
        ...

    def create(self, sql: str, location: str) -> None:
        """Makes or checks the Delta table of a CREATE TABLE whose name is `{name}`; raises what Delta says of it."""
        ...

    def stop(self) -> None: ...
