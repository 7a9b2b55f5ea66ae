"""Who calls, and where: the environment and profiles beside databricks-sdk-python, hosts as people paste them, both levels of OAuth.

In the same environment our client and the vendor's ask the same host with the same credential. Where ours refuses instead is
written down here with its reason.
"""

import base64
import json
import re
import subprocess
import sys
import urllib.parse

from databricks.sdk._base_client import _fix_host_if_needed

from harness import web
from harness.daemon import free_port
from harness.procs import require
from harness.workspace import Workspace

SDK = """
import json, os, sys
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
for line in sys.stdin:
    case = json.loads(line)
    os.environ.clear()
    os.environ.update(case["environment"])
    try:
        found = {"is": WorkspaceClient(config=Config(retry_timeout_seconds=2, **case["options"])).current_user.me().display_name}
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"[:400]}
    print(json.dumps(found), flush=True)
"""
PASTED = (
    "https://dbc-1a2b.cloud.databricks.com", "https://dbc-1a2b.cloud.databricks.com/", "dbc-1a2b.cloud.databricks.com", "dbc-1a2b.cloud.databricks.com/?o=12345",
    "https://dbc-1a2b.cloud.databricks.com:443/?o=12345#notebook/1", "https://dbc-1a2b.cloud.databricks.com/sql/warehouses?o=1", "dbc-1a2b.cloud.databricks.com/browse",
    "https://adb-123.4.azuredatabricks.net/?o=123", "https://123.4.gcp.databricks.com:443", "https://workspace.example:8443/x",
)


class Place:
    """A workspace that says of a call which workspace it is and by which credential it was asked."""

    def __init__(self, name):
        self.name, self.server = name, web.Server(free_port(), self._answer)
        self.url = self.server.url

    async def _answer(self, request):
        if request.path == "/oidc/v1/token":
            return self._reply(self._token(request))
        body = {
            "/.well-known/databricks-config": {"oidc_endpoint": f"{self.url}/oidc", "account_id": "a", "workspace_id": "1"},
            "/oidc/.well-known/oauth-authorization-server": {"token_endpoint": f"{self.url}/oidc/v1/token", "authorization_endpoint": f"{self.url}/oidc/v1/authorize"},
            "/api/2.0/preview/scim/v2/Me": {"id": "1", "userName": "u", "displayName": f"{self.name} {request.headers.get('authorization')}"},
        }.get(request.path)
        return self._reply(body)

    @staticmethod
    def _reply(body):
        return web.Reply(200 if body else 404, json.dumps(body or {}).encode(), web.Headers([("Content-Type", "application/json")]))

    @staticmethod
    def _token(request):
        """A token that names what it was given for."""
        form, basic = request.form(), request.headers.get("authorization", "").removeprefix("Basic ")
        given = base64.b64decode(basic).decode().replace(":", "/") if basic else f"{form.get('client_id')}/{form.get('subject_token')}"
        return {"access_token": f"oauth/{given}", "token_type": "Bearer", "expires_in": 3600}


def profiles(places):
    url = {place.name: place.url for place in places}
    return f"""
[DEFAULT]
host = {url["default"]}
token = dapi-default
[prod]
host = {url["prod"]}
client_id = app-prod
client_secret = dose-prod
[both]
host = {url["prod"]}
token = dapi-both
client_id = app-both
client_secret = dose-both
[pinned]
host = {url["prod"]}
token = dapi-pinned
client_id = app-pinned
client_secret = dose-pinned
auth_type = oauth-m2m
[bare]
token = dapi-bare
[old]
host = {url["prod"]}
username = u
password = p
"""


def cases(folder, url):
    """(what, variables, options, what our refusal says where the SDK is answered)."""
    host, token, profile = "DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE"
    secret = {"DATABRICKS_CLIENT_ID": "app-env", "DATABRICKS_CLIENT_SECRET": "dose-env"}
    env = {host: url["env"]}
    (folder / "other.cfg").write_text(f"[__settings__]\ndefault_profile = mine\n[DEFAULT]\nhost = {url['env']}\ntoken = dapi-not\n[mine]\nhost = {url['prod']}\ntoken = dapi-mine\n")
    (folder / "jwt").write_text("jwt-of-file")
    return (
        ("DEFAULT where nothing is set", {}, {}, None),
        ("the environment before the file", {**env, token: "dapi-env"}, {}, None),
        ("a host that ends in a slash", {host: f"{url['env']}/", token: "dapi-env"}, {}, None),
        ("a profile of the environment", {profile: "prod"}, {}, None),
        ("a profile that is asked for before the environment's", {profile: "both"}, {"profile": "prod"}, None),
        ("the environment's token beside a profile's host", {profile: "DEFAULT", token: "dapi-env"}, {}, None),
        ("the environment's client beside a profile's secret", {profile: "prod", "DATABRICKS_CLIENT_ID": "app-env"}, {}, None),
        ("DEFAULT is inherited by no profile", {profile: "bare"}, {}, None),
        ("OAuth of the environment", {**env, **secret}, {}, None),
        ("two kinds in the environment", {**env, **secret, token: "dapi-env"}, {}, None),
        ("two kinds in a profile", {profile: "both"}, {}, None),
        ("two kinds over two places", {profile: "prod", token: "dapi-env"}, {}, None),
        ("auth_type of the profile chooses", {profile: "pinned"}, {}, None),
        ("auth_type of the environment chooses", {profile: "both", "DATABRICKS_AUTH_TYPE": "pat"}, {}, None),
        ("auth_type of the environment before the profile's", {profile: "pinned", "DATABRICKS_AUTH_TYPE": "pat"}, {}, None),
        ("auth_type whose attributes are not there", {profile: "prod", "DATABRICKS_AUTH_TYPE": "pat"}, {}, None),
        ("a profile that is not there", {profile: "nobody"}, {}, None),
        ("a host alone keeps the file shut", env, {}, None),
        ("a token alone keeps the file shut", {token: "dapi-env"}, {}, None),
        ("another file, and the profile that it prefers", {"DATABRICKS_CONFIG_FILE": str(folder / "other.cfg")}, {}, None),
        ("a file that is not there", {"DATABRICKS_CONFIG_FILE": str(folder / "none.cfg")}, {}, None),
        ("empty variables are none", {host: "", token: "", profile: ""}, {}, None),
        ("a federated token of the environment", {**env, "DATABRICKS_CLIENT_ID": "app-env", "DATABRICKS_OIDC_TOKEN": "jwt-env"}, {}, None),
        ("a federated token of a file", {**env, "DATABRICKS_CLIENT_ID": "app-env", "DATABRICKS_OIDC_TOKEN_FILEPATH": str(folder / "jwt"), "DATABRICKS_AUTH_TYPE": "file-oidc"}, {}, None),
        ("a host that is given, and the environment's token", {token: "dapi-env"}, {"host": url["prod"]}, None),
        # The SDK sends what a place says is for one host to another; ours does not.
        ("a profile's secret at the environment's host", {**env, profile: "prod"}, {}, "not sent to this one"),
        ("the environment's token at a host that is given", {**env, token: "dapi-env"}, {"host": url["prod"]}, "not sent to this one"),
        ("a user and a password", {profile: "old"}, {}, "no longer takes user names"),
    )


def order(world, places):
    """The same environment, the same host, the same credential."""
    home, url = world.folder / "home", {place.name: place.url for place in places}
    home.mkdir()
    (home / ".databrickscfg").write_text(profiles(places))
    all = cases(world.folder, url)
    plain = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    lines = "".join(json.dumps({"environment": plain | variables, "options": options}) + "\n" for _, variables, options, _ in all)
    done = subprocess.run([sys.executable, "-c", SDK], input=lines, capture_output=True, text=True, timeout=170, check=False)
    judged = [json.loads(line) for line in done.stdout.splitlines()]
    require(len(judged) == len(all), f"the SDK told of {len(judged)} of {len(all)}: {done.stderr[-2000:]}")
    answered, differ = 0, []
    for (what, variables, options, refusal), theirs in zip(all, judged, strict=True):
        ended, out, error = me(world, plain | variables, options)
        ours = json.loads(out)["displayName"] if ended == 0 else None
        alike = ours == theirs.get("is") if refusal is None else "is" in theirs and ours is None and refusal in error
        if ended not in (0, 2) or not alike:
            differ.append(f"{what}: the SDK says {theirs}, ours {ours}, exit code {ended}, {error}")
        answered += ours is not None
    require(not differ, "\n".join(differ))
    require(answered >= 15, f"only {answered} cases were answered")
    world.note(f"{len(all)} environments beside databricks-sdk, {answered} of them answered by both and alike")


def me(world, environment, options):
    """`alluvium databricks me` in exactly this environment."""
    words = ["--profile", options["profile"]] if "profile" in options else []
    if "host" in options:
        config = world.folder / "host.toml"
        config.write_text(f'[connections.given]\nhost = "{options["host"]}"\n')
        words += ["--config", config]
    done = subprocess.run([world.binary, "databricks", "me", *words], cwd=world.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def pasted(world):
    """What a person copies is the host that the SDK makes of it. A proxy where nobody listens keeps the requests here."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    for text in PASTED:
        config = world.folder / "pasted.toml"
        config.write_text(f'[connections.c]\nhost = "{text}"\nauth = {{ type = "pat", token = "dapi0123456789abcdef" }}\nretry_budget_seconds = 0.1\n')
        ended, out, error = world.cli("databricks", "me", "--debug", "--config", config, env={"HTTPS_PROXY": nowhere, "NO_PROXY": "", "no_proxy": ""})
        asked = re.search(r"> GET (\S+)/api/2\.0/preview/scim/v2/Me", error)
        require(ended == 4 and asked, f"{text}: {out}{error}")
        theirs = urllib.parse.urlsplit(_fix_host_if_needed(text))  # which leaves path and query for the caller to cut
        require(asked[1] == f"{theirs.scheme}://{theirs.netloc}", f"{text}: the SDK makes {theirs} of it, ours {asked[1]}")


def levels(world):
    """An explicit token URL, no discovery, a wrong secret, and a token of one level at the other."""
    server = Workspace(world.folder / "workspace")
    try:
        boss = server.control("POST", "principals", {"display_name": "boss", "account_admin": True})
        secret = server.control("POST", "secrets", {"principal": boss["id"]})
        of_account = f"{server.account}/oidc/accounts/{server.endpoints['account_id']}/v1/token"
        principals = f"/2.0/accounts/{server.endpoints['account_id']}/scim/v2/ServicePrincipals"
        config = world.folder / "levels.toml"

        def connection(name, host, token_url=None, client_secret=secret["client_secret"]):
            url = f'token_url = "{token_url}"\n' if token_url else ""
            auth = f'auth = {{ type = "oauth_m2m", client_id = "{secret["client_id"]}", client_secret = "{client_secret}" }}'
            return f'[connections.{name}]\nhost = "{host}"\n{auth}\n{url}'

        config.write_text(
            connection("plain", server.host) + connection("explicit", server.host, f"{server.host}/oidc/v1/token")
            + connection("account", server.account, of_account) + connection("crossed", server.host, of_account)
            + connection("upwards", server.account, f"{server.host}/oidc/v1/token") + connection("wrong", server.host, client_secret="dose-wrong"))

        def ask(name, *words, code=0):
            since = max((entry["number"] for entry in server.journal()), default=0)
            ended, out, error = world.cli("databricks", *words, "--connection", name, "--config", config)
            require(ended == code, f"{name} {words} ended with {ended}, not {code}:\n{out}{error}")
            return out + error, [entry["path"] for entry in server.journal(since)]

        _, asked = ask("plain", "me")
        require(any(path.startswith("/.well-known/databricks-config") for path in asked), f"nothing was discovered: {asked}")
        _, asked = ask("explicit", "me")
        require(asked == ["/oidc/v1/token", "/api/2.0/preview/scim/v2/Me"], f"with an explicit token URL it asked {asked}")
        server.settings(discovery=False)
        ask("plain", "me")  # which the SDK cannot
        server.settings(discovery=True)
        listed, _ = ask("account", "request", principals)
        require(secret["client_id"] in listed, f"the account's principals: {listed}")
        for name, words in (("crossed", ["me"]), ("upwards", ["request", principals])):
            told, _ = ask(name, *words, code=3)
            require("403" in told or "401" in told or "PERMISSION_DENIED" in told or "refuse" in told, f"a token of one level at the other: {told}")
        for style in ("rfc6749", "legacy"):
            server.settings(oauth_error_style=style)
            told, _ = ask("wrong", "me", code=3)
            require("invalid_client" in told and "check the client id and its secret" in told and "dose-wrong" not in told, f"a wrong secret: {told}")
    finally:
        server.stop()


def run(world):
    places = [Place(name) for name in ("default", "env", "prod")]
    try:
        order(world, places)
    finally:
        for place in places:
            place.server.stop()
    pasted(world)
    levels(world)
