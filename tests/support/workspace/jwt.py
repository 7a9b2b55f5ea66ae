"""JSON Web Tokens with the standard library: HS256 for the stand-in's own tokens, RS256 and ES256 checked for federation."""

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")

# The curve P-256.
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296, 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)
Point = tuple[int, int] | None


class BadToken(Exception):
    """The token is not one, or nobody we trust signed it."""


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadToken("not base64url") from None


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """(header, claims, what is signed, signature), nothing of it checked."""
    pieces = token.split(".")
    if len(pieces) != 3:
        raise BadToken("a JWT has three parts")
    try:
        header, claims = json.loads(decode(pieces[0])), json.loads(decode(pieces[1]))
    except ValueError:
        raise BadToken("not JSON") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("not objects")
    return header, claims, f"{pieces[0]}.{pieces[1]}".encode(), decode(pieces[2])


def sign(claims: dict[str, Any], key: bytes) -> str:
    text = f"{encode(json.dumps({'alg': 'HS256', 'typ': 'at+jwt'}).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{text}.{encode(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def verify(token: str, key: bytes) -> dict[str, Any]:
    """The claims of a token that `sign` made with the same key."""
    header, claims, signed, signature = parts(token)
    if header.get("alg") != "HS256" or not hmac.compare_digest(hmac.new(key, signed, hashlib.sha256).digest(), signature):
        raise BadToken("wrong signature")
    return claims


def sign_es256(claims: dict[str, Any], private: int, kid: str) -> str:
    """By a private scalar; arithmetic that leaks its timing, for test keys only."""
    text = f"{encode(json.dumps({'alg': 'ES256', 'typ': 'JWT', 'kid': kid}).encode())}.{encode(json.dumps(claims).encode())}"
    hashed, nonce = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"), 1 + secrets.randbelow(N - 1)
    point = _times(nonce, G)
    assert point is not None
    r = point[0] % N
    s = pow(nonce, -1, N) * (hashed + r * private) % N
    return f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def public_es256(private: int, kid: str) -> dict[str, Any]:
    """The JWK of a private scalar's public key."""
    point = _times(private, G)
    assert point is not None
    x, y = (encode(value.to_bytes(32, "big")) for value in point)
    return {"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "x": x, "y": y}


def verify_public(token: str, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """The claims of a token signed by one of the keys of a JWK set."""
    header, claims, signed, signature = parts(token)
    for key in keys:
        if header.get("kid") not in (None, key.get("kid")):
            continue
        if header.get("alg") == "RS256" and key.get("kty") == "RSA" and _rsa(key, signed, signature):
            return claims
        if header.get("alg") == "ES256" and key.get("crv") == "P-256" and _ecdsa(key, signed, signature):
            return claims
    raise BadToken("no key of the issuer signed it")


def _padded(message: bytes, size: int) -> bytes:
    digest = SHA256_PREFIX + hashlib.sha256(message).digest()
    return b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest


def _rsa(key: dict[str, Any], message: bytes, signature: bytes) -> bool:
    modulus, exponent = int.from_bytes(decode(key["n"]), "big"), int.from_bytes(decode(key["e"]), "big")
    size = (modulus.bit_length() + 7) // 8
    value = pow(int.from_bytes(signature, "big"), exponent, modulus)
    return len(signature) == size and value.to_bytes(size, "big") == _padded(message, size)


def _ecdsa(key: dict[str, Any], message: bytes, signature: bytes) -> bool:
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    public = (int.from_bytes(decode(key["x"]), "big"), int.from_bytes(decode(key["y"]), "big"))
    hashed, inverse = int.from_bytes(hashlib.sha256(message).digest(), "big"), pow(s, -1, N)
    point = _add(_times(hashed * inverse % N, G), _times(r * inverse % N, public))
    return point is not None and point[0] % N == r


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _times(factor: int, point: Point) -> Point:
    total: Point = None
    while factor:
        if factor & 1:
            total = _add(total, point)
        point, factor = _add(point, point), factor >> 1
    return total
