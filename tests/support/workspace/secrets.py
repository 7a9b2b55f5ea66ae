"""How secrets are made, kept and shown: kept and shown only as digests."""

import hashlib
import re
import secrets as random
from typing import Any

SECRET_FIELDS = {
    "access_token", "client_assertion", "client_secret", "refresh_token", "sas_token", "secret", "secret_access_key", "session_token",
    "subject_token", "token", "token_value", "password",
}
CREDENTIAL_CLAUSE = re.compile(r"(CREDENTIAL\s*\()[^)]*(\))", re.IGNORECASE)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def shown(secret: str) -> str:
    """What stands for a secret in the journal: the same secret, the same sign."""
    return f"sha256:{digest(secret)[:16]}"


def token(prefix: str, length: int = 32) -> str:
    return prefix + random.token_hex(length // 2)


def hidden(value: Any) -> Any:
    """A JSON value with its secrets replaced."""
    if isinstance(value, dict):
        return {k: shown(str(v)) if k in SECRET_FIELDS and isinstance(v, str) else hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hidden(item) for item in value]
    if isinstance(value, str):
        return CREDENTIAL_CLAUSE.sub(r"\1***\2", value)
    return value
