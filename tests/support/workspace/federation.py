"""Federation policies: which foreign tokens stand for which principal. The stand-in brings an issuer of its own for tests.

A policy: `issuer`, `audiences`, `subject` and `subject_claim`, `jwks` (the issuer's public keys), and `client_id`, the
applicationId of the service principal it is for. A policy without `client_id` is the account's: the claim itself
names the principal.
"""

import secrets
from typing import Any

from . import jwt
from .secrets import token
from .store import Store

KID = "stand-in"
OWN_ISSUER = "https://issuer.stand-in.example"


class Federation:
    def __init__(self, store: Store, account_id: str):
        self._policies, self._account_id = store.collection("federation"), account_id
        keys = store.collection("signing")
        if "issuer" not in keys:
            keys["issuer"] = {"private": 1 + secrets.randbelow(jwt.N - 1)}
        self._private = keys["issuer"]["private"]

    def own_jwks(self) -> list[dict[str, Any]]:
        return [jwt.public_es256(self._private, KID)]

    def own_token(self, claims: dict[str, Any]) -> str:
        """A token of the stand-in's own issuer."""
        return jwt.sign_es256({"iss": OWN_ISSUER, **claims}, self._private, KID)

    def add(self, policy: dict[str, Any]) -> str:
        key = token("policy-", 8)
        self._policies[key] = {"issuer": OWN_ISSUER, "audiences": [], "subject_claim": "sub", "jwks": self.own_jwks(), **policy}
        return key

    def principal(self, subject_token: str, client_id: str | None, token_url: str, now: float) -> str:
        """The name of the principal for whom the token stands."""
        _, claims, _, _ = jwt.parts(subject_token)
        reason = "no federation policy matches the token"
        for policy in self._policies.values():
            if policy.get("client_id") != client_id or policy["issuer"] != claims.get("iss"):
                continue
            audiences = policy["audiences"] or [self._account_id, token_url]
            given = claims.get("aud", [])
            if not set([given] if isinstance(given, str) else given) & set(audiences):
                reason = "the token's audience is not one of the policy"
                continue
            subject = claims.get(policy["subject_claim"])
            if not isinstance(subject, str) or (client_id is not None and subject != policy.get("subject")):
                reason = "the token's subject is not the policy's"
                continue
            jwt.verify_public(subject_token, policy["jwks"])
            if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= now:
                raise jwt.BadToken("the token is expired")
            return client_id or subject
        raise jwt.BadToken(reason)
