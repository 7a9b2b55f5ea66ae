"""Every kind of statement for a warehouse, with hostile names and types, read by sqlglot's dialect of Databricks; cargo has built the printer for `cargo test`."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from harness.daemon import environment
from harness.procs import CheckFailed, require

TEST = "control::sql::tests::print::statements_for_another_parser"
TYPES = {
    "BOOLEAN": "BOOLEAN", "TINYINT": "TINYINT", "SMALLINT": "SMALLINT", "INT": "INT", "BIGINT": "BIGINT", "FLOAT": "FLOAT", "DOUBLE": "DOUBLE",
    "TEXT": "STRING", "VARCHAR": "STRING", "BINARY": "BINARY", "VARBINARY": "BINARY", "DATE": "DATE",
    "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
}


def shape(kind):
    """A parsed type, spelt as the printer describes types."""
    inner = kind.expressions
    match kind.this.name:
        case "ARRAY":
            return ["ARRAY", shape(inner[0])]
        case "MAP":
            return ["MAP", shape(inner[0]), shape(inner[1])]
        case "STRUCT":
            return ["STRUCT", [[field.this.name, shape(field.args["kind"])] for field in inner]]
        case "DECIMAL":
            return ["DECIMAL", *(int(parameter.this.name) for parameter in inner)]
        case plain:
            return [TYPES[plain]]


def table(node):
    """Its three names."""
    return [part.name for part in node.find(exp.Table).parts]


def path(node):
    """A column's names, the outer ones first."""
    return [*path(node.this), *path(node.expression)] if isinstance(node, exp.Dot) else [node.name]


def altered(sql):
    """The table, the column's path and the text of its type, of `ALTER TABLE … ALTER COLUMN … TYPE …`."""
    tokens = sqlglot.tokenize(sql, dialect="databricks")
    at = next(token for token in tokens if token.text == "TYPE" and token.token_type != TokenType.IDENTIFIER)
    alter, of_table, name, again, of_column, column_path = words(sql[:at.start])
    require([alter, of_table, again, of_column] == ["ALTER", "TABLE", "ALTER", "COLUMN"], sql)
    return name, column_path, sql[at.end + 1:]


def column(node):
    return {"path": path(node.this), "type": shape(node.args["kind"])}


def words(sql):
    """A statement it has no tree for: its tokens, quoted names joined, other words in one text each."""
    found = []
    for token in sqlglot.tokenize(sql, dialect="databricks"):
        quoted, dot = token.token_type == TokenType.IDENTIFIER, token.token_type == TokenType.DOT
        if quoted and found and isinstance(found[-1], list):
            found[-1].append(token.text)
        elif quoted:
            found.append([token.text])
        elif not dot:
            found.append(token.text)
    return found


def read(what, sql):
    """What the parser makes of a statement, in the printer's words."""
    if what == "sync":
        # After MSCK it takes the rest as it is.
        repair, of_table, name, *rest = words(sql.removeprefix("MSCK "))
        require([repair, of_table, *rest] == ["REPAIR", "TABLE", "SYNC", "METADATA"], sql)
        return {"table": name}
    if what == "type":  # it has no tree for a field of a struct
        name, column_path, rest = altered(sql)
        return {"table": name, "column": {"path": column_path, "type": shape(exp.DataType.build(rest, dialect="databricks"))}}
    tree, = sqlglot.parse(sql, dialect="databricks")
    require(not isinstance(tree, exp.Command), f"{sql!r} has no tree")
    match what:
        case "add":
            return {"table": table(tree), "columns": [column(node) for action in tree.args["actions"] for node in columns_of(action)]}
        case "create":
            schema = tree.this
            columns = [column(node) for node in schema.expressions] if isinstance(schema, exp.Schema) else []
            found = {"table": table(tree), "columns": columns, "location": tree.find(exp.LocationProperty).this.name}
            comment = tree.find(exp.SchemaCommentProperty)
            return found | ({"comment": comment.this.name} if comment else {})
        case "schema":
            return {"schema": [part.name for part in tree.find(exp.Table).parts]}


def columns_of(action):
    return action.expressions if isinstance(action, exp.Schema) else [action]


def run(world):
    root = Path(__file__).resolve().parents[3]
    if shutil.which("cargo") is None:
        world.skip("the statements", "cargo is not here")
        return
    done = subprocess.run(
        ["cargo", "test", "--locked", "--lib", TEST, "--", "--exact", "--ignored", "--nocapture"], cwd=root, capture_output=True, text=True,
        timeout=900, check=False, env=environment({}))
    require(done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-3000:]}")
    kinds = judge(done.stdout.split("\n"))
    require(len(kinds) == 5 and min(kinds.values()) > 100, f"{kinds}")
    world.note(", ".join(f"{count} {kind}" for kind, count in kinds.items()))


def judge(lines):
    """How many statements of each kind there were; fails on the first that reads as anything else than was meant."""
    kinds = Counter()
    for line in lines:
        if not line.startswith("sql: "):
            continue
        case = json.loads(line.removeprefix("sql: "))
        kinds[case["what"]] += 1
        try:
            found = read(case["what"], case["sql"])
        except (sqlglot.errors.SqlglotError, ValueError) as error:
            raise CheckFailed(f"{case['sql']!r} does not parse: {error}") from error
        require(found == case["expected"], f"{case['sql']!r} reads as {found}, expected {case['expected']}")
    return kinds
