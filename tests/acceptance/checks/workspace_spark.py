"""Statements of the stand-in workspace run on Spark with Delta: what a warehouse alters, everybody reads in the log.

DuckDB, which knows nothing of the workspace, sees each change; the workspace is killed while statements run.
"""

import contextlib
import threading
import time

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service import catalog, sql

from harness import readers
from harness.procs import require, wait_until
from harness.workspace import SparkEngine, Workspace, unparsed

KILLS = 6


def run(world):
    spark = world.spark()
    engine = SparkEngine(spark)
    server = Workspace(world.folder / "workspace", engine.url)
    try:
        setting = Setting(world, server)
        life(world, setting)
        values(setting)
        follower(world, setting, spark)
        race(setting)
        kills(world, setting)
        left = [statement for statement, _ in unparsed(server.statements())]
        require(left == ["SELEC id FROM main.web.orders"], f"sqlglot does not parse {left}")
    finally:
        server.stop()
        engine.stop()


class Setting:
    """A loader with the rights of the setup documents, a warehouse, and a lake on local files."""

    def __init__(self, world, server):
        self.server, self.lake = server, world.folder / "lake"
        admin = WorkspaceClient(config=Config(host=server.host, token=server.admin_token))
        admin.storage_credentials.create("lake", aws_iam_role=catalog.AwsIamRoleRequest("arn:aws:iam::123456789012:role/lake"))
        admin.external_locations.create("lake", f"file://{self.lake}", "lake")
        loader = server.service_principal("loader")
        self.warehouse = server.warehouse("small", auto_stop_mins=10)
        server.permit("loader", "warehouses", self.warehouse, "CAN_USE")
        server.grant("loader", "catalog", "main", "USE_CATALOG", "CREATE_SCHEMA")
        server.grant("loader", "external_location", "lake", "CREATE_EXTERNAL_TABLE", "READ_FILES", "WRITE_FILES")
        self.client = WorkspaceClient(config=Config(host=server.host, client_id=loader["client_id"], client_secret=loader["client_secret"], retry_timeout_seconds=60))
        self.duck = readers.duck()

    def path(self, table):
        return self.lake / table

    def execute(self, text, **options):
        """The response of a statement, once it has ended."""
        found = self.client.statement_execution.execute_statement(text, self.warehouse, wait_timeout="50s", **options)
        while found.status.state in (sql.StatementState.PENDING, sql.StatementState.RUNNING):
            time.sleep(0.1)
            found = self.client.statement_execution.get_statement(found.statement_id)
        return found

    def done(self, text, **options):
        found = self.execute(text, **options)
        require(found.status.state is sql.StatementState.SUCCEEDED, f"{text}: {found.status}")
        return found.result.data_array if found.result else None

    def fails(self, text, *words):
        found = self.execute(text)
        require(found.status.state is sql.StatementState.FAILED, f"{text}: {found.status}")
        require(all(word in found.status.error.message for word in words), f"{text}: {found.status.error.message}")
        return found.status

    def columns(self, table):
        return {each.name: each.type_text for each in self.client.tables.get(f"main.web.{table}").columns}

    def described(self, table):
        """As DuckDB reads the log."""
        return {name: kind for name, kind, *_ in self.duck.execute(f"describe select * from {readers.scan(self.path(table))}").fetchall()}


def life(world, setting):
    """From CREATE SCHEMA to widened types, each change in the log and in the catalog."""
    setting.done("CREATE SCHEMA IF NOT EXISTS `main`.`web` COMMENT 'Events of the web site'")
    location = f"file://{setting.path('orders')}"
    create = f"""CREATE TABLE IF NOT EXISTS `main`.`web`.`orders` (`id` BIGINT NOT NULL COMMENT 'the event\\'s number', `odd name` STRING,
        `s` STRUCT<`a`: INT, `b`: ARRAY<STRUCT<`c`: INT>>>) USING DELTA CLUSTER BY (`id`) LOCATION '{location}' COMMENT 'Orders'
        TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.columnMapping.mode' = 'name')"""
    setting.done(create)
    setting.done(create)
    require(setting.columns("orders") == {"id": "bigint", "odd name": "string", "s": "struct<a:int,b:array<struct<c:int>>>"}, f"made: {setting.columns('orders')}")
    setting.done("ALTER TABLE `main`.`web`.`orders` ADD COLUMNS (`n` INT COMMENT 'new', `s`.`b`.`element`.`d` STRING)")
    require("n" in setting.described("orders"), f"DuckDB reads {setting.described('orders')}")
    require("d:string" in setting.columns("orders")["s"], f"nested: {setting.columns('orders')}")
    setting.fails("ALTER TABLE `main`.`web`.`orders` ADD COLUMNS (`N` INT)", "FIELD_ALREADY_EXISTS")
    setting.done("ALTER TABLE `main`.`web`.`orders` ALTER COLUMN `n` TYPE BIGINT")
    require(setting.described("orders")["n"] == "BIGINT" and setting.columns("orders")["n"] == "bigint", "not widened")
    setting.fails("ALTER TABLE `main`.`web`.`orders` ALTER COLUMN `n` TYPE STRING")
    setting.done("COMMENT ON TABLE `main`.`web`.`orders` IS 'All orders'")
    inserted = setting.done("INSERT INTO main.web.orders VALUES (1, 'a', named_struct('a', 1, 'b', array(named_struct('c', 2, 'd', 'x'))), 7), (2, NULL, NULL, NULL)")
    require(inserted == [["2", "2"]], f"inserted: {inserted}")
    merged = setting.done("MERGE INTO main.web.orders t USING (SELECT 1 AS id) u ON t.id = u.id WHEN MATCHED THEN UPDATE SET n = 8")
    require(merged[0][0] == "1", f"merged: {merged}")
    detail = setting.execute("DESCRIBE DETAIL `main`.`web`.`orders`")
    names = [column.name for column in detail.manifest.schema.columns]
    row = dict(zip(names, detail.result.data_array[0], strict=True))
    require((row["name"], row["location"]) == ("main.web.orders", location) and row["clusteringColumns"] == '["id"]', f"detail: {row}")
    setting.done("OPTIMIZE main.web.orders")
    setting.fails("SELECT nothing FROM main.web.orders", "UNRESOLVED_COLUMN")
    setting.fails("SELECT * FROM main.web.nothing", "TABLE_OR_VIEW_NOT_FOUND")
    syntax = setting.fails("SELEC id FROM main.web.orders", "[PARSE_SYNTAX_ERROR]")
    require(syntax.sql_state == "42601", f"{syntax}")
    setting.fails(f"CREATE TABLE main.web.within (id INT) USING DELTA LOCATION '{location}/within'", "overlaps")
    rows = readers.duck_rows(setting.duck, setting.path("orders"))
    require(sorted((each["id"], each["n"]) for each in rows) == [(1, 8), (2, None)], f"DuckDB reads {rows}")


def values(setting):
    """Parameters by type, and values of every type as strings."""
    found = setting.done("SELECT count(*) FROM orders WHERE id = :id AND n > :n", schema="web", parameters=[
        sql.StatementParameterListItem("id", "BIGINT", "1"), sql.StatementParameterListItem("n", "DECIMAL(5,1)", "7.5")])
    require(found == [["1"]], f"parameters: {found}")
    row, = setting.done("""SELECT true, 1Y, 1.5F, 1e10D, CAST(1.5 AS DECIMAL(10,2)), X'deadbeef', DATE'2024-01-02', TIMESTAMP'2024-01-02 03:04:05.123999+01:00',
        TIMESTAMP_NTZ'2024-01-02 03:04:05', array(1, NULL), map('k', 1.5D), named_struct('a', X'00', 'b', 'q"'), NULL FROM main.web.orders LIMIT 1""")
    wanted = ["true", "1", "1.5", "1.0E10", "1.50", "3q2+7w==", "2024-01-02", "2024-01-02T02:04:05.123Z", "2024-01-02T03:04:05.000", '["1",null]', '{"k":"1.5"}',
              '{"a":"AA==","b":"q\\""}', None]
    require(row == wanted, f"values: {row}")


def follower(world, setting, spark):
    """A table that another engine made is registered as it lies; its later changes come into the catalog when it is told to look."""
    path = setting.path("outside")
    spark.sql(f"create table delta.`{path}` (a int, b string) using delta")
    setting.done(f"CREATE TABLE IF NOT EXISTS main.web.outside USING DELTA LOCATION 'file://{path}'")
    require(list(setting.columns("outside")) == ["a", "b"], f"registered: {setting.columns('outside')}")
    spark.sql(f"alter table delta.`{path}` add columns (c double)")
    require(list(setting.columns("outside")) == ["a", "b"], "the catalog knows by itself")
    setting.done("MSCK REPAIR TABLE main.web.outside SYNC METADATA")
    require(setting.columns("outside") == {"a": "int", "b": "string", "c": "double"}, f"synchronised: {setting.columns('outside')}")
    setting.done("DROP TABLE main.web.outside")
    require(readers.is_table(path), "the files of an external table are gone")
    setting.fails(f"CREATE TABLE main.web.outside (z INT) USING DELTA LOCATION 'file://{path}'", "DELTA_CREATE_TABLE_SCHEME_MISMATCH")


def race(setting):
    """Two who add the same column at once end with one."""
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(setting.execute("ALTER TABLE main.web.orders ADD COLUMNS (raced STRING)").status)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = sorted(status.state.value for status in outcomes)
    require(states == ["FAILED", "SUCCEEDED"], f"the race ended {outcomes}")
    require(list(setting.described("orders")).count("raced") == 1, "not one column")


def kills(world, setting):
    """Killed with statements under way, the workspace says ABORTED, or nothing; asked again, the column is there once."""
    unknown = 0
    for turn in range(KILLS):
        add = f"ALTER TABLE main.web.orders ADD COLUMNS (k{turn} INT)"
        id = setting.client.statement_execution.execute_statement(add, setting.warehouse, wait_timeout="0s").statement_id
        time.sleep(world.random.uniform(0, 0.6))
        setting.server.kill9()
        setting.server.start()
        found = wait_until(lambda id=id: ended(setting, id), 60, "the statement to end")
        unknown += found.status.error is not None and found.status.error.error_code is sql.ServiceErrorCode.ABORTED
        # What was lost may still be at work: the column is asked for until it is there.
        wait_until(lambda add=add, turn=turn: setting.execute(add) and f"k{turn}" in setting.described("orders"), 60, "the column")
    columns = list(setting.described("orders"))
    require(all(columns.count(f"k{turn}") == 1 for turn in range(KILLS)), f"columns: {columns}")
    wait_until(lambda: synchronised(setting), 30, "the catalog to have all columns")
    world.note(f"{KILLS} kills of the workspace, {unknown} statements of unknown outcome")


def ended(setting, id):
    with contextlib.suppress(DatabricksError):
        found = setting.client.statement_execution.get_statement(id)
        if found.status.state not in (sql.StatementState.PENDING, sql.StatementState.RUNNING):
            return found
    return None


def synchronised(setting):
    setting.done("MSCK REPAIR TABLE main.web.orders SYNC METADATA")
    return set(setting.columns("orders")) == set(setting.described("orders"))
