"""Unity Catalog: what there is, who may what, and credentials for storage."""

import uuid

from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, PermissionDenied, Unauthenticated
from databricks.sdk.service import catalog

from harness.procs import require

from .common import client, loader_of, refused, refused_code, state_of


def catalogs(world, server):
    """Metastore, catalogs, schemas and tables, and the words for what is not there."""
    admin = client(server, token=server.admin_token)
    summary = admin.metastores.summary()
    require(summary.metastore_id == admin.metastores.current().metastore_id and summary.external_access_enabled is False, f"metastore: {summary}")
    server.control("POST", "metastore", {"assigned": False})
    error = refused(NotFound, admin.metastores.current)
    require(error.error_code == "METASTORE_DOES_NOT_EXIST", f"no metastore: {error.error_code}")
    server.control("POST", "metastore", {"assigned": True})
    made = admin.catalogs.create("Bronze", comment="events")
    require(made.name == "bronze" and {each.name for each in admin.schemas.list("bronze")} == {"default", "information_schema"}, f"made: {made}")
    error = refused(BadRequest, lambda: admin.catalogs.create("bronze"), "already exists")
    require(error.error_code == "CATALOG_ALREADY_EXISTS", f"{error.error_code}")
    schema = admin.schemas.create("web", "bronze", comment="of the web site")
    require(schema.full_name == "bronze.web" and admin.schemas.get("bronze.web").comment == "of the web site", f"schema: {schema}")
    for call, code in ((lambda: admin.catalogs.get("none"), "CATALOG"), (lambda: admin.schemas.get("bronze.none"), "SCHEMA"), (lambda: admin.tables.get("bronze.web.none"), "TABLE")):
        error = refused(NotFound, call, "does not exist")
        require(error.error_code == f"{code}_DOES_NOT_EXIST", f"{error.error_code}")
    require(admin.tables.exists("bronze.web.none").table_exists is False, "what is not there exists")
    refused(NotFound, lambda: admin.tables.exists("bronze.none.t"))
    for name in ("a.b", "a b", "a/b", "x" * 256, "\x7f"):
        refused(InvalidParameterValue, lambda name=name: admin.schemas.create(name, "bronze"))
    admin.catalogs.update("bronze", comment="changed")
    require(admin.catalogs.get("BRONZE").comment == "changed", "not changed")
    error = refused_code(lambda: admin.catalogs.delete("bronze"))
    require("not empty" in str(error), f"{error}")
    admin.catalogs.delete("bronze", force=True)
    refused(NotFound, lambda: admin.schemas.get("bronze.web"))


def storage(world, server):
    """Storage credentials, external locations, and the check of one with the other."""
    admin = client(server, token=server.admin_token)
    role = catalog.AwsIamRoleRequest("arn:aws:iam::123456789012:role/lake")
    made = admin.storage_credentials.create("lake", aws_iam_role=role)
    require(made.aws_iam_role.external_id == server.endpoints["account_id"] and ":role/unity-catalog-" in made.aws_iam_role.unity_catalog_iam_arn, f"credential: {made}")
    location = admin.external_locations.create("lake", "s3://lake/tables/", "lake")
    require(location.url == "s3://lake/tables" and location.credential_name == "lake", f"location: {location}")
    refused(InvalidParameterValue, lambda: admin.external_locations.create("inner", "s3://lake/tables/inner", "lake"), "overlaps")
    refused(NotFound, lambda: admin.external_locations.create("other", "s3://other", "nobody"))
    checked = admin.storage_credentials.validate(storage_credential_name="lake", external_location_name="lake")
    require({each.result.value for each in checked.results} == {"PASS"}, f"checked: {checked}")
    server.settings(storage_failures={"lake": ["WRITE"]})
    checked = admin.storage_credentials.validate(storage_credential_name="lake", url="s3://lake/tables/x")
    require([each.operation.value for each in checked.results if each.result.value == "FAIL"] == ["WRITE"], f"checked: {checked}")
    refused(PermissionDenied, lambda: admin.external_locations.create("bad", "s3://bad", "lake"))
    admin.external_locations.create("bad", "s3://bad", "lake", skip_validation=True)
    server.settings(storage_failures={})
    require({each.name for each in admin.external_locations.list()} == {"lake", "bad"}, "locations")
    refused_code(lambda: admin.storage_credentials.delete("lake"))
    admin.external_locations.delete("bad")


def rights(world, server):
    """Grants, inherited and not; every right of SQL and REST that a loader needs, missed in turn and said in words."""
    admin = client(server, token=server.admin_token)
    loader, w, warehouse = loader_of(server, "of rights")
    who = loader["client_id"]
    admin.catalogs.create("segment")
    location = "s3://lake/tables/orders"

    def execute(text):
        answer = w.statement_execution.execute_statement(text, warehouse)
        return (answer.status.error.message if answer.status.error else "", answer.status.sql_state)

    def grant(type, name, *privileges):
        changes = [catalog.PermissionsChange(principal=who, add=[catalog.Privilege(each) for each in privileges])]
        return admin.grants.update(type, name, changes=changes)

    steps = (
        ("CREATE SCHEMA IF NOT EXISTS segment.web", "USE CATALOG on Catalog 'segment'", "catalog", "segment", "USE_CATALOG"),
        ("CREATE SCHEMA IF NOT EXISTS segment.web", "CREATE SCHEMA on Catalog 'segment'", "catalog", "segment", "CREATE_SCHEMA"),
        (f"CREATE TABLE IF NOT EXISTS segment.web.orders (id BIGINT) USING DELTA LOCATION '{location}'", "CREATE EXTERNAL TABLE on External Location 'lake'",
         "external_location", "lake", "CREATE_EXTERNAL_TABLE"),
    )
    for text, words, type, name, privilege in steps:
        message, sql_state = execute(text)
        require(words in message and sql_state == "42501", f"{text} without {privilege}: {message}")
        grant(type, name, privilege)
        if privilege == "CREATE_SCHEMA":
            require(execute(text) == ("", None), f"{text} with all rights fails")
    require(execute(steps[-1][0]) == ("", None), "with all rights it fails")
    require(execute(steps[-1][0]) == ("", None), "twice it fails")
    table = admin.tables.get("segment.web.orders")
    require((table.storage_location, table.table_type.value, table.owner) == (location, "EXTERNAL", who), f"table: {table}")
    require([(each.name, each.type_name.value) for each in table.columns] == [("id", "LONG")], f"columns: {table.columns}")
    require(execute("ALTER TABLE segment.web.orders ADD COLUMNS (`x y` STRING COMMENT 'it''s', n INT)") == ("", None), "its owner may not alter it")
    require([each.name for each in admin.tables.get("segment.web.orders").columns] == ["id", "x y", "n"], "not added")
    message, _ = execute("ALTER TABLE segment.web.orders ADD COLUMNS (N INT)")
    require("FIELD_ALREADY_EXISTS" in message, f"a column twice: {message}")
    message, _ = execute("CREATE TABLE segment.web.second (id INT) USING DELTA LOCATION 's3://lake/tables/orders/below'")
    require("overlaps" in message, f"a table in a table: {message}")
    message, _ = execute("CREATE TABLE segment.web.second (id INT) USING DELTA LOCATION 's3://elsewhere/x'")
    require("No parent external location" in message, f"a table nowhere: {message}")

    _, other, other_warehouse = loader_of(server, "a stranger")
    found = other.statement_execution.execute_statement("ALTER TABLE segment.web.orders ADD COLUMNS (z INT)", other_warehouse)
    require("TABLE_OR_VIEW_NOT_FOUND" in found.status.error.message, f"a stranger is told: {found.status.error}")
    refused(PermissionDenied, lambda: other.tables.get("segment.web.orders"), "USE CATALOG")
    server.grant("a stranger", "catalog", "segment", "USE_CATALOG", "USE_SCHEMA", "SELECT")
    found = other.statement_execution.execute_statement("ALTER TABLE segment.web.orders ADD COLUMNS (z INT)", other_warehouse)
    require("[INSUFFICIENT_PERMISSIONS]" in found.status.error.message and "MODIFY on Table" in found.status.error.message, f"without MODIFY: {found.status.error}")

    effective = admin.grants.get_effective("table", "segment.web.orders")
    inherited = {(entry.privilege.value, entry.inherited_from_name) for each in effective.privilege_assignments for entry in each.privileges}
    require(("SELECT", "segment") in inherited, f"effective: {inherited}")
    orders = {tuple(each.value for each in admin.grants.get("catalog", "segment").privilege_assignments[0].privileges) for _ in range(20)}
    require(len(orders) > 1, "privileges come in one order always")
    refused(InvalidParameterValue, lambda: grant("catalog", "segment", "READ_FILES"), "not applicable")
    refused(NotFound, lambda: admin.grants.update("catalog", "segment", changes=[catalog.PermissionsChange(principal="nobody", add=[catalog.Privilege.USE_CATALOG])]))
    both = catalog.PermissionsChange(principal=who, add=[catalog.Privilege.USE_CATALOG], remove=[catalog.Privilege.USE_CATALOG])
    refused(InvalidParameterValue, lambda: admin.grants.update("catalog", "segment", changes=[both]), "Duplicate")
    refused(PermissionDenied, lambda: w.grants.update("catalog", "segment", changes=[catalog.PermissionsChange(principal=who, add=[catalog.Privilege.MODIFY])]))
    message, _ = execute("DROP TABLE IF EXISTS segment.web.orders")
    require(message == "" and not admin.tables.exists("segment.web.orders").table_exists, f"dropped: {message}")
    granted = [f"GRANT USE SCHEMA, CREATE TABLE ON SCHEMA segment.web TO `{who}`", f"REVOKE CREATE TABLE ON SCHEMA segment.web FROM `{who}`"]
    for text in granted:
        answer = admin.statement_execution.execute_statement(text, warehouse)
        require(state_of(answer) == "SUCCEEDED", f"{text}: {answer.status}")
    require([each.value for each in admin.grants.get("schema", "segment.web").privilege_assignments[0].privileges] == ["USE_SCHEMA"], "GRANT and REVOKE")


def vending(world, server):
    """Temporary credentials: refused until the metastore and the rights that nothing implies allow them, under the version that is served."""
    admin = client(server, token=server.admin_token)
    loader, w, warehouse = loader_of(server, "of vending")
    who = loader["client_id"]
    server.grant(who, "catalog", "segment", "ALL_PRIVILEGES")
    server.grant(who, "external_location", "lake", "ALL_PRIVILEGES")
    answer = w.statement_execution.execute_statement("CREATE TABLE segment.web.vended (id INT) USING DELTA LOCATION 's3://lake/tables/vended'", warehouse)
    require(state_of(answer) == "SUCCEEDED", f"{answer.status}")
    table = w.tables.get("segment.web.vended")

    def of_table(operation=catalog.TableOperation.READ_WRITE):
        return w.temporary_table_credentials.generate_temporary_table_credentials(table_id=table.table_id, operation=operation)

    def of_path(url, operation=catalog.PathOperation.PATH_READ_WRITE):
        return w.temporary_path_credentials.generate_temporary_path_credentials(url, operation)

    error = refused(Unauthenticated, of_table, "from outside of Databricks")
    reasons = [detail.reason for detail in error.get_error_info()]
    require(reasons == ["UNITY_CATALOG_EXTERNAL_GENERATE_TABLE_CREDENTIALS_DENIED"], f"reasons: {reasons}")
    server.control("POST", "metastore", {"external_access_enabled": True})
    refused(PermissionDenied, of_table, "EXTERNAL USE SCHEMA on Schema 'segment.web'")
    refused(PermissionDenied, lambda: of_path("s3://lake/tables/new"), "EXTERNAL USE LOCATION on External Location 'lake'")
    server.grant(who, "schema", "segment.web", "EXTERNAL_USE_SCHEMA")
    server.grant(who, "external_location", "lake", "EXTERNAL_USE_LOCATION")
    vended = of_table()
    require(vended.aws_temp_credentials.session_token and vended.url == table.storage_location, f"vended: {vended}")
    require(of_path("s3://lake/tables/new").aws_temp_credentials.access_key_id.startswith("ASIA"), "a path")
    refused(InvalidParameterValue, lambda: of_path("s3://lake/tables/vended", catalog.PathOperation.PATH_CREATE_TABLE), "overlaps")
    refused(NotFound, lambda: w.temporary_table_credentials.generate_temporary_table_credentials(table_id=str(uuid.uuid4()), operation=catalog.TableOperation.READ))
    server.settings(vending_versions=["2.1"])
    error = refused(NotFound, of_table)
    require(error.error_code == "ENDPOINT_NOT_FOUND", f"{error.error_code}")
    server.settings(vending_versions=["2.0"])
    made = w.tables.create("rest", "segment", "web", catalog.TableType.EXTERNAL, catalog.DataSourceFormat.DELTA, "s3://lake/tables/rest",
                           columns=[catalog.ColumnInfo(name="id", type_name=catalog.ColumnTypeName.LONG, type_text="bigint", position=0)])
    require(made.full_name == "segment.web.rest", f"by REST: {made}")
    server.control("POST", "metastore", {"external_access_enabled": False})
    admin.catalogs.delete("segment", force=True)
