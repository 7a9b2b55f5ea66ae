"""What kinds of values the fields of request bodies have; the service refuses others before it looks at what they say."""

from typing import Any

from .errors import ApiError

STRINGS = {
    "name", "warehouse_id", "statement", "wait_timeout", "on_wait_timeout", "disposition", "format", "catalog", "schema", "cluster_id", "cluster_name", "cluster_size",
    "spark_version", "node_type_id", "clusterId", "contextId", "commandId", "language", "command", "application_id", "comment", "displayName", "userName", "applicationId",
    "url", "credential_name", "storage_credential_name", "external_location_name", "table_id", "operation", "catalog_name", "schema_name", "storage_root", "table_type",
    "data_source_format", "storage_location", "lifetime", "instance_profile_arn", "token_id", "owner", "warehouse_type",
}
NUMBERS = {"lifetime_seconds", "auto_stop_mins", "min_num_clusters", "max_num_clusters", "num_workers", "autotermination_minutes"}
OBJECTS = {"properties", "aws_iam_role", "azure_managed_identity", "spark_conf", "autoscale", "tags"}
LISTS = {"changes", "Operations", "access_control_list", "columns", "entitlements", "permissions", "schemas", "query_tags"}
OF_OBJECTS = {"changes", "Operations", "access_control_list", "columns"}
KINDS = (("String", STRINGS, (str,)), ("Number", NUMBERS, (int, float)), ("Object", OBJECTS, (dict,)), ("List", LISTS, (list,)))


def check(body: dict[str, Any]) -> None:
    """Raises for the first field whose value is of another kind; null is no value."""
    for name, value in body.items():
        for kind, fields, types in KINDS:
            if name in fields and value is not None and (not isinstance(value, types) or (isinstance(value, bool) and kind == "Number")):
                raise _wrong(kind, name)
        if name in OF_OBJECTS and isinstance(value, list) and not all(isinstance(each, dict) for each in value):
            raise _wrong("Object", name)
        if name == "changes":
            for change in value or []:
                for field in ("add", "remove"):
                    given = change.get(field) or []
                    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
                        raise _wrong("List", field)
                if not isinstance(change.get("principal", ""), str):
                    raise _wrong("String", "principal")


def _wrong(kind: str, name: str) -> ApiError:
    return ApiError(400, "MALFORMED_REQUEST", f"Could not parse request object: Expected {kind} value for field '{name}'")
