"""What a test may turn: delays, limits and the service's variants. Defaults are the service's own, delays excepted."""

from typing import Any

from .store import Store

DEFAULTS: dict[str, Any] = {
    "cloud": "AWS",
    "discovery": True,  # /.well-known/databricks-config is served
    "account_id_in_discovery": "literal",  # or "placeholder": {account_id} in oidc_endpoint
    "expires_in_as_string": False,
    "token_lifetime_seconds": 3600,
    "oauth_error_style": "rfc6749",  # or "legacy": errorCode, errorSummary
    "warehouse_starting_seconds": 1.0,
    "warehouse_stopping_seconds": 0.5,
    "statement_pending_seconds": 0.0,
    "statement_running_seconds": 0.0,
    "cancel_loses": False,  # a cancel is accepted, and the statement finishes all the same
    "statement_retention_seconds": 12 * 3600,
    "result_retention_seconds": 3600,
    "chunk_rows": 10_000,
    "inline_limit_bytes": 25 << 20,
    "link_seconds": 900,
    "link_headers": {},  # which a link demands, and names in http_headers
    "cluster_pending_seconds": 1.0,
    "cluster_terminating_seconds": 0.5,
    "context_pending_seconds": 0.0,
    "command_seconds": 0.0,
    "page_size_max": 1000,  # of every list; small values make many pages
    "scim_delete_by_application_id": False,
    "token_quota": 600,
    "storage_failures": {},  # {credential: [operations that fail on its storage]}
    "vending_versions": ["2.0"],  # under which /api/VERSION/unity-catalog/temporary-… is served
    "vended_seconds": 3600,
    "vended_aws": None,  # {access_key_id, secret_access_key, session_token}; made up where none is given
    "vended_azure_sas": None,
}


class Settings:
    def __init__(self, store: Store):
        self._records = store.collection("settings")

    def __getitem__(self, name: str) -> Any:
        return self._records[name]["value"] if name in self._records else DEFAULTS[name]

    def change(self, values: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(values) - set(DEFAULTS):
            raise ValueError(f"no setting {min(unknown)}")
        for name, value in values.items():
            self._records[name] = {"value": value}
        return self.all()

    def all(self) -> dict[str, Any]:
        return {name: self[name] for name in DEFAULTS}
