"""Who one is: connections and what is wrong with them, principals, tokens of all kinds, the account."""

import base64
import contextlib
import json
import time
import uuid

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from databricks.sdk import AccountClient, WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import BadRequest, DatabricksError, InvalidParameterValue, NotFound, PermissionDenied, ResourceDoesNotExist
from databricks.sdk.service import iam

from harness.procs import require

from .common import client, environment, loader_of, refused

DISCOVERY = "/.well-known/databricks-config"


def connections(world, server):
    """OAuth with discovery, tokens, profiles, the environment, and what is wrong with each."""
    loader = server.service_principal("loader")
    secret = {"client_id": loader["client_id"], "client_secret": loader["client_secret"]}
    m2m = client(server, **secret)
    me = m2m.current_user.me()
    require((me.user_name, me.display_name) == (loader["client_id"], "loader"), f"M2M is {me}")
    require(m2m.config.auth_type == "oauth-m2m", f"by {m2m.config.auth_type}")
    asked = [entry["path"] for entry in server.journal(path="/(.well-known|oidc)")]
    require(DISCOVERY in asked and "/oidc/.well-known/oauth-authorization-server" in asked and "/oidc/v1/token" in asked, f"discovery went by {asked}")
    server.settings(expires_in_as_string=True)
    client(server, **secret).current_user.me()
    server.settings(expires_in_as_string=False)
    for style, code in (("rfc6749", "invalid_client"), ("legacy", "invalid_client")):
        server.settings(oauth_error_style=style)
        try:
            client(server, client_id=loader["client_id"], client_secret="dose-wrong").current_user.me()
            raise AssertionError("a wrong secret is taken")
        except ValueError as error:
            require(code in str(error), f"a wrong secret: {error}")
    server.settings(oauth_error_style="rfc6749", discovery=False)
    try:
        client(server, **secret)
        raise AssertionError("the SDK does without discovery after all")
    except ValueError:
        pass  # as databricks-api.md says of it
    server.settings(discovery=True)

    pat = server.token("loader")
    require(client(server, token=pat).current_user.me().user_name == loader["client_id"], "a personal access token is another's")
    refused(PermissionDenied, client(server, token="dapi" + "0" * 32).current_user.me, "Invalid access token")
    plain = requests.get(f"{server.host}/api/2.0/preview/scim/v2/Me", timeout=10)
    require(plain.status_code == 401 and plain.json()["error_code"] == 401, f"without credentials: {plain.status_code} {plain.text}")
    file = world.folder / "databrickscfg"
    file.write_text(f"[DEFAULT]\nhost = http://127.0.0.1:9\n\n[prod]\nhost = {server.host}\ntoken = {pat}\n")
    with environment(DATABRICKS_CONFIG_FILE=str(file)):
        require(WorkspaceClient(profile="prod").current_user.me().user_name == loader["client_id"], "the profile is not used")
    with environment(DATABRICKS_HOST=server.host, DATABRICKS_CLIENT_ID=loader["client_id"], DATABRICKS_CLIENT_SECRET=loader["client_secret"]):
        require(WorkspaceClient().config.auth_type == "oauth-m2m", "the environment is not used")
    user = client(server, token=server.admin_token).current_user.me()
    require(user.user_name == "admin@example.com" and "admins" in [group.display for group in user.groups], f"the administrator is {user}")


def federation(world, server):
    """A foreign token for one of ours; a token for somebody else is not."""
    loader = server.service_principal("federated")
    server.control("POST", "federation", {"client_id": loader["client_id"], "subject": "repo:alluvium", "audiences": ["stand-in"]})
    file = world.folder / "oidc-token"
    options = {"auth_type": "file-oidc", "client_id": loader["client_id"], "oidc_token_filepath": str(file)}
    file.write_text(server.control("POST", "issuer", {"claims": {"sub": "repo:alluvium", "aud": "stand-in"}})["token"])
    require(client(server, **options).current_user.me().user_name == loader["client_id"], "federation makes another of it")
    for claims in ({"sub": "repo:other", "aud": "stand-in"}, {"sub": "repo:alluvium", "aud": "other"}, {"sub": "repo:alluvium", "aud": "stand-in", "exp": 1}):
        file.write_text(server.control("POST", "issuer", {"claims": claims})["token"])
        try:
            client(server, **options).current_user.me()
            raise AssertionError(f"a token with {claims} is taken")
        except ValueError as error:
            require("invalid_grant" in str(error), f"{claims}: {error}")


    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = rsa_key.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "their own", "alg": "RS256", "n": url64(numbers.n.to_bytes(256, "big")), "e": url64(numbers.e.to_bytes(3, "big"))}
    server.control("POST", "federation", {"client_id": loader["client_id"], "subject": "job", "issuer": "https://ci.example", "audiences": ["ci"], "jwks": [jwk]})
    for signer, held in ((rsa_key, True), (rsa.generate_private_key(public_exponent=65537, key_size=2048), False)):
        claims = {"iss": "https://ci.example", "sub": "job", "aud": ["other", "ci"], "exp": time.time() + 600}
        signed = ".".join(url64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "their own"}, claims))
        file.write_text(f"{signed}.{url64(signer.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}")
        try:
            client(server, **options).current_user.me()
            require(held, "a foreign key is taken for the issuer's")
        except ValueError as error:
            require(not held and "invalid_grant" in str(error), f"RS256: {error}")


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def azure(world, server):
    """The tenant from the redirect, and a service principal that a management token lets in."""
    found = requests.get(f"{server.host}/aad/auth", allow_redirects=False, timeout=10)
    tenant = found.headers["Location"].split("/")[3]
    require(found.status_code == 302 and tenant == server.endpoints["tenant_id"], f"/aad/auth: {found.headers}")
    loader = server.service_principal("entra", assigned=False)
    form = {"grant_type": "client_credentials", "client_id": loader["client_id"], "client_secret": loader["client_secret"]}

    def token(resource):
        answer = requests.post(f"{server.login}/{tenant}/oauth2/token", {**form, "resource": resource}, timeout=10)
        require(answer.status_code == 200 and isinstance(answer.json()["expires_in"], str), f"Entra: {answer.text}")
        return answer.json()["access_token"]

    headers = {"Authorization": f"Bearer {token('2ff814a6-3304-4ab8-85cb-cd0e6f879c1d')}"}
    me = f"{server.host}/api/2.0/preview/scim/v2/Me"
    require(requests.get(me, headers=headers, timeout=10).status_code == 403, "a stranger of Entra is let in")
    more = {"X-Databricks-Azure-SP-Management-Token": token("https://management.core.windows.net/"), "X-Databricks-Azure-Workspace-Resource-Id": "/subscriptions/s"}
    answer = requests.get(me, headers=headers | more, timeout=10)
    require(answer.status_code == 200 and answer.json()["applicationId"] == loader["client_id"], f"by management token: {answer.text}")


def people(world, server):
    """SCIM: service principals made, found by filters and in pages, changed and deleted by their numeric id."""
    admin = client(server, token=server.admin_token)
    made = admin.service_principals_v2.create(display_name="Segment Storage Destinations", active=True)
    require(made.id.isdecimal() and made.application_id.count("-") == 4, f"made: {made}")
    add = iam.Patch(op=iam.PatchOp.ADD, path="entitlements", value=[{"value": "allow-cluster-create"}, {"value": "databricks-sql-access"}])
    admin.service_principals_v2.patch(made.id, operations=[add], schemas=[iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP])
    found = admin.service_principals_v2.get(made.id)
    require(sorted(each.value for each in found.entitlements) == ["allow-cluster-create", "databricks-sql-access"], f"entitled: {found}")
    remove = iam.Patch(op=iam.PatchOp.REMOVE, path='entitlements[value eq "allow-cluster-create"]')
    admin.service_principals_v2.patch(made.id, operations=[remove], schemas=[iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP])
    require([each.value for each in admin.service_principals_v2.get(made.id).entitlements] == ["databricks-sql-access"], "an entitlement stays")
    for n in range(5):
        admin.service_principals_v2.create(display_name=f"page {n}")
    server.settings(page_size_max=2)
    names = [each.display_name for each in admin.service_principals_v2.list(filter='displayName sw "page "')]
    require(names == [f"page {n}" for n in range(5)], f"by filter and page: {names}")
    server.settings(page_size_max=1000)
    filters = {
        f'applicationId eq "{made.application_id}"': 1, 'displayName co "Storage" and active eq true': 1, 'displayName eq "page 1" or displayName eq "page 2"': 2,
        'displayName eq "none"': 0, 'displayName ne "page 0" and displayName sw "page"': 4,
    }
    for filter, count in filters.items():
        seen = list(admin.service_principals_v2.list(filter=filter))
        require(len(seen) == count, f"{filter} finds {len(seen)}")
    refused(BadRequest, lambda: list(admin.service_principals_v2.list(filter="displayName like x")))
    admin.service_principals_v2.update(made.id, display_name="renamed", active=True)
    require(admin.service_principals_v2.get(made.id).display_name == "renamed", "not renamed")
    refused(NotFound, lambda: admin.service_principals_v2.delete(made.application_id))  # which the seed document prints
    server.permit(made.id, "authorization", "tokens", "CAN_USE")
    token = admin.token_management.create_obo_token(made.application_id, comment="soon gone")
    admin.service_principals_v2.delete(made.id)
    refused(PermissionDenied, client(server, token=token.token_value).current_user.me)
    refused(NotFound, lambda: admin.service_principals_v2.get(made.id))
    _, w, _ = loader_of(server, "no administrator")
    refused(PermissionDenied, lambda: w.service_principals_v2.create(display_name="mine"))


def tokens(world, server):
    """On behalf of others, one's own, the switches of the workspace, and the permission to use tokens at all."""
    admin = client(server, token=server.admin_token)
    loader, w, _ = loader_of(server, "of tokens")
    refused(PermissionDenied, lambda: w.tokens.create(comment="without CAN_USE"))
    refused(PermissionDenied, lambda: admin.token_management.create_obo_token(loader["client_id"], comment="without CAN_USE"))
    admin.permissions.update("authorization", "tokens", access_control_list=[
        iam.AccessControlRequest(service_principal_name=loader["client_id"], permission_level=iam.PermissionLevel.CAN_USE)])
    entries = admin.permissions.get("authorization", "tokens").access_control_list
    require(loader["client_id"] in [each.service_principal_name for each in entries], f"permissions: {entries}")
    made = admin.token_management.create_obo_token(loader["client_id"], comment="Grants until 12/21", lifetime_seconds=7776000)
    require(made.token_info.expiry_time - made.token_info.creation_time == 7776000 * 1000 and made.token_value.startswith("dapi"), f"made: {made}")
    require(client(server, token=made.token_value).current_user.me().user_name == loader["client_id"], "on behalf of another")
    eternal = admin.token_management.create_obo_token(loader["client_id"], comment="for ever")
    require(eternal.token_info.expiry_time == -1, f"for ever: {eternal.token_info}")
    admin_id = admin.current_user.me().id
    listed = [each.token_id for each in admin.token_management.list(created_by_id=int(admin_id))]
    require(made.token_info.token_id in listed, "not listed")
    require(admin.token_management.get(made.token_info.token_id).token_info.owner_id == int(loader["scim_id"]), "another's")
    admin.token_management.delete(eternal.token_info.token_id)
    refused(PermissionDenied, client(server, token=eternal.token_value).current_user.me)
    refused(ResourceDoesNotExist, lambda: admin.token_management.delete(eternal.token_info.token_id))
    refused(ResourceDoesNotExist, lambda: admin.token_management.create_obo_token(str(uuid.uuid4())))
    own = w.tokens.create(comment="mine", lifetime_seconds=60)
    require([each.token_id for each in w.tokens.list() if each.comment == "mine"] == [own.token_info.token_id], "one's own is not listed")
    w.tokens.delete(own.token_info.token_id)
    own = w.tokens.create(comment="soon over", lifetime_seconds=60)
    server.advance(61)
    refused(PermissionDenied, client(server, token=own.token_value).current_user.me)
    refused(PermissionDenied, lambda: list(w.token_management.list()))
    admin.workspace_conf.set_status({"maxTokenLifetimeDays": "90"})
    require(admin.workspace_conf.get_status("enableTokensConfig,maxTokenLifetimeDays") == {"enableTokensConfig": "true", "maxTokenLifetimeDays": "90"}, "switches")
    refused(InvalidParameterValue, lambda: w.tokens.create(lifetime_seconds=91 * 86400))
    admin.workspace_conf.set_status({"maxTokenLifetimeDays": ""})
    server.settings(token_quota=3)
    with contextlib.suppress(DatabricksError):
        for _ in range(4):
            w.tokens.create()
    error = None
    try:
        w.tokens.create()
    except DatabricksError as refusal:
        error = refusal
    require(error is not None and error.error_code == "QUOTA_EXCEEDED", f"over the quota: {error}")
    server.settings(token_quota=600)


def account(world, server):
    """The account's own tokens, principals, secrets and assignments; a token of one level is no good at the other."""
    with environment():
        boss = server.control("POST", "principals", {"display_name": "account administrator", "account_admin": True})
        secret = server.control("POST", "secrets", {"principal": boss["id"]})
        options = {"account_id": server.endpoints["account_id"], "client_id": secret["client_id"], "client_secret": secret["client_secret"], "retry_timeout_seconds": 20}
        for shown in ("literal", "placeholder"):
            server.settings(account_id_in_discovery=shown)
            accounts = AccountClient(config=Config(host=server.account, **options))
            made = accounts.service_principals_v2.create(display_name=f"of the account, {shown}")
        require(made.application_id in [each.application_id for each in accounts.service_principals_v2.list()], "not listed")
        credential = accounts.service_principal_secrets.create(made.id, lifetime="7776000s")
        require(credential.secret.startswith("dose") and credential.status == "ACTIVE", f"secret: {credential}")
        inside = {"client_id": made.application_id, "client_secret": credential.secret}
        try:
            client(server, **inside).current_user.me()
            raise AssertionError("whom the workspace does not know is let in")
        except ValueError as error:
            require("invalid_client" in str(error), f"{error}")
        workspace = int(server.endpoints["workspace_id"])
        accounts.workspace_assignment.update(workspace, int(made.id), permissions=[iam.WorkspacePermission.USER])
        require(client(server, **inside).current_user.me().user_name == made.application_id, "not assigned")
        require(int(made.id) in [each.principal.principal_id for each in accounts.workspace_assignment.list(workspace)], "no assignment")
        for _ in range(4):
            accounts.service_principal_secrets.create(made.id)
        try:
            accounts.service_principal_secrets.create(made.id)
            raise AssertionError("six secrets")
        except DatabricksError as error:
            require(error.error_code == "QUOTA_EXCEEDED", f"six secrets: {error}")
        accounts.service_principal_secrets.delete(made.id, credential.id)
        require(len(list(accounts.service_principal_secrets.list(made.id))) == 4, "a secret stays")
        level = accounts.config.authenticate()
        answer = requests.get(f"{server.host}/api/2.0/preview/scim/v2/Me", headers=level, timeout=10)
        require(answer.status_code == 403, f"a token of the account at the workspace: {answer.status_code}")
        of_workspace = client(server, client_id=secret["client_id"], client_secret=secret["client_secret"]).config.authenticate()
        path = f"/api/2.0/accounts/{server.endpoints['account_id']}/scim/v2/ServicePrincipals"
        answer = requests.get(f"{server.account}{path}", headers=of_workspace, timeout=10)
        require(answer.status_code == 403, f"a token of the workspace at the account: {answer.status_code}")
        accounts.service_principals_v2.delete(made.id)


def expiry(world, server):
    """OAuth tokens end by the virtual clock, and by revocation."""
    loader = server.service_principal("of a while")
    form = {"grant_type": "client_credentials", "scope": "all-apis"}

    def fresh():
        answer = requests.post(f"{server.host}/oidc/v1/token", form, auth=(loader["client_id"], loader["client_secret"]), timeout=10).json()
        require(answer["expires_in"] == 3600 and answer["token_type"] == "Bearer", f"token: {answer}")
        return {"Authorization": f"Bearer {answer['access_token']}"}

    def status(headers):
        return requests.get(f"{server.host}/api/2.0/preview/scim/v2/Me", headers=headers, timeout=10).status_code

    headers = fresh()
    require(status(headers) == 200, "a fresh token is refused")
    server.advance(3599)
    require(status(headers) == 200, "a token ends early")
    server.advance(2)
    require(status(headers) == 401, "a token outlives its hour")
    headers = fresh()
    server.revoke(loader["client_id"])
    require(status(headers) == 401, "a revoked token is taken")
    server.control("PATCH", f"principals/{loader['scim_id']}", {"active": False})
    refused_token = requests.post(f"{server.host}/oidc/v1/token", form, auth=(loader["client_id"], loader["client_secret"]), timeout=10)
    require(refused_token.status_code == 401 and refused_token.json()["error"] == "invalid_client", f"of one who is not active: {refused_token.text}")
