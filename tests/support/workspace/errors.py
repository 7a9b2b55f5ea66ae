"""Refusals and the envelopes in which the APIs dress them."""

from typing import Any

from .wire import Headers, Reply

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
REQUEST_INFO = "type.googleapis.com/google.rpc.RequestInfo"
SCIM_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class ApiError(Exception):
    """A refusal: `code` is the error_code (a string, or a number where the gateway speaks)."""

    def __init__(self, status: int, code: str | int, message: str, details: list[dict[str, Any]] | None = None, headers: Headers | None = None):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details, self.headers = details or [], headers or []


class OauthError(Exception):
    """A refusal of a token endpoint, which has an envelope of its own."""

    def __init__(self, status: int, error: str, description: str):
        super().__init__(description)
        self.status, self.error, self.description = status, error, description


def invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BAD_REQUEST", message)


def invalid_state(message: str) -> ApiError:
    return ApiError(400, "INVALID_STATE", message)


def missing(message: str, code: str = "RESOURCE_DOES_NOT_EXIST") -> ApiError:
    return ApiError(404, code, message)


def exists(message: str, code: str = "RESOURCE_ALREADY_EXISTS") -> ApiError:
    return ApiError(409, code, message)


def denied(message: str, details: list[dict[str, Any]] | None = None) -> ApiError:
    return ApiError(403, "PERMISSION_DENIED", message, details)


def no_such_api(method: str, path: str) -> ApiError:
    shown = path.removeprefix("/api/2.0").removeprefix("/api/2.1").removeprefix("/api/1.2")
    return ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {shown}'")


def envelope(path: str, error: ApiError, request_id: str) -> Reply:
    """The answer in the envelope that belongs to the path."""
    if path.startswith("/api/1.2/"):
        return Reply.json({"error": error.message}, error.status, error.headers)
    if "/scim/v2/" in path and isinstance(error.code, str):
        body: dict[str, Any] = {"schemas": [SCIM_ERROR], "detail": error.message, "status": str(error.status)}
        if error.code in ("uniqueness", "invalidFilter", "invalidValue", "invalidPath", "mutability"):
            body["scimType"] = error.code
        return Reply.json(body, error.status, error.headers)
    if isinstance(error.code, int):  # the gateway
        headers = [*error.headers, ("X-Databricks-Reason-Phrase", error.message.partition(" [ReqId")[0])]
        return Reply.json({"error_code": error.code, "message": error.message}, error.status, headers)
    details = [*error.details, {"@type": REQUEST_INFO, "request_id": request_id, "serving_data": ""}]
    return Reply.json({"error_code": error.code, "message": error.message, "details": details}, error.status, error.headers)


def oauth_envelope(error: OauthError, style: str) -> Reply:
    if style == "legacy":
        body = {"errorCode": error.error, "errorSummary": error.description}
    else:
        body = {"error": error.error, "error_description": error.description}
    return Reply.json(body, error.status, [("Cache-Control", "no-store")])
