"""Lists in pages: `page_size` (or max_results) and an opaque `page_token`, as the APIs have them."""

import base64
import binascii
from typing import Any

from .errors import invalid


def page(items: list[Any], query: dict[str, str], largest: int, size_name: str = "page_size") -> tuple[list[Any], str | None]:
    """(the items of the page asked for, the token of the next one)."""
    start, size = _start(query.get("page_token", "")), largest
    if query.get(size_name):
        try:
            size = int(query[size_name])
        except ValueError:
            raise invalid(f"{size_name} must be a number.") from None
        if size < 0:
            raise invalid(f"{size_name} must not be negative.")
        size = min(size or largest, largest)
    end = start + size
    return items[start:end], _token(end) if end < len(items) else None


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode()


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from:"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise invalid("page_token is invalid.") from None
