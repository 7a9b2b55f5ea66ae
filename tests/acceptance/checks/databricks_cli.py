"""Every action of `alluvium databricks` against the stand-in workspace: two workspaces side by side, faults, retries, and no secret shown.

The actions are those of the connector's page, in its order; each runs with --debug, and what all of them said is searched for secrets.
"""

import email
import email.policy
import json
import re
import time

from harness import web
from harness.daemon import free_port
from harness.procs import CheckFailed, require
from harness.workspace import Workspace

from .sdk.common import client
from .secrets import excerpt, spellings

SAMPLE = '[{ "name": "my_name", "value": "the name" }'  # as the page has it: a bracket is missing
PLANTED = {name: f"planted-{name}-{number:04x}" for number, name in enumerate(("header", "query", "body", "form", "sas", "sql", "jdbc"), 0x51B0)}
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


class Side:
    """One workspace, its connection, and a service principal that may use what is there."""

    def __init__(self, world, name):
        self.name, self.workspace = name, Workspace(world.folder / name)
        stand_in = self.workspace
        self.principal = stand_in.service_principal(f"{name}-lander", entitlements=["workspace-access", "databricks-sql-access", "allow-cluster-create"])
        self.warehouse = stand_in.warehouse(f"{name}-small", auto_stop_mins=10)
        stand_in.permit(f"{name}-lander", "warehouses", self.warehouse, "CAN_MANAGE")
        spec = {"cluster_name": f"{name}-cluster", "spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
        status, made = stand_in.admin("POST", "/api/2.1/clusters/create", spec)
        require(status == 200, f"the stand-in made no cluster: {made}")
        self.cluster = made["cluster_id"]
        stand_in.permit(f"{name}-lander", "clusters", self.cluster, "CAN_MANAGE")

    def config(self, trusted=()):
        return f"""
[connections.{self.name}]
host = "{self.workspace.host}"
auth = {{ type = "oauth_m2m", client_id = "{self.principal["client_id"]}", client_secret = "{self.principal["client_secret"]}" }}
warehouse = "{self.name}-small"
cluster = "{self.cluster}"
retry_budget_seconds = 8.0
trusted_hosts = {json.dumps(list(trusted))}
"""


class Commands:
    """Runs actions and keeps what they said."""

    def __init__(self, world, sides, trusted=()):
        self._world, self._path, self.said = world, world.folder / "databricks.toml", {}
        lake = world.folder / "lake"
        self._lake = f'[lake]\nurl = "{lake}"\n[admin]\nlisten = ""\n'
        self._path.write_text(self._lake + "".join(side.config(trusted) for side in sides))

    def run(self, side, *words, code=0, debug=True):
        """(standard output, standard error) of `alluvium databricks WORDS…`, which has to end with this exit code."""
        words = [*words, "--connection", side.name, "--config", self._path, *(["--debug"] if debug else [])]
        ended, out, error = self._world.cli("databricks", *words)
        shown = " ".join(map(str, words))
        self.said[f"{len(self.said)} {shown}"] = out + error
        require(ended == code, f"`alluvium databricks {shown}` ended with {ended}, not {code}:\n{out[-2000:]}{error[-3000:]}")
        return out, error

    def json(self, side, *words, **options):
        return json.loads(self.run(side, *words, **options)[0])

    def pasted(self, side):
        """A JDBC URL with a password in place of the host: it speaks TLS, which the stand-in does not."""
        authority = side.workspace.host.partition("://")[2]
        path = self._world.folder / "jdbc.toml"
        url = f"jdbc:databricks://{authority}/default;transportMode=http;ssl=1;httpPath=/sql/1.0/warehouses/{side.warehouse};AuthMech=3;UID=token;PWD={PLANTED['jdbc']}"
        path.write_text(self._lake + f'[connections.pasted]\nhost = "{url}"\nauth = {{ type = "pat", token = "dapi0123456789abcdef" }}\nretry_budget_seconds = 1.0\n')
        for words in (["databricks", "me", "--debug"], ["check"], ["config", "show"]):
            ended, out, error = self._world.cli(*words, "--config", path)
            require((ended == 0) == (words[0] == "config"), f"`alluvium {words}` of a JDBC URL ended with {ended}: {out}{error}")
            self.said[f"{words} of a JDBC URL"] = out + error

    def check(self, *words):
        return self._world.cli("check", "--config", self._path, *words, seconds=120)


def run(world):
    echoes = [Echo(), Echo()]
    sides = []
    try:
        sides = [Side(world, "dev"), Side(world, "prod")]
        commands = Commands(world, sides, trusted=[echoes[0].url])
        dev, prod = sides
        warehouses(commands, dev)
        clusters(commands, dev)
        code(commands, dev)
        odds(commands, dev)
        statements(commands, dev)
        raw(world, commands, dev, echoes)
        refusals(commands, dev)
        matrix(world, commands, dev)
        apart(commands, dev, prod)
        checked(commands, dev, prod)
        commands.pasted(dev)
        complete(world, commands, sides)
        silent(world, commands, sides)
    finally:
        for side in sides:
            side.workspace.stop()
        for echo in echoes:
            echo.stop()


def warehouses(commands, side):
    me = commands.json(side, "me")
    require(me["displayName"] == "dev-lander", f"`me` told of somebody else: {me}")
    listed = commands.json(side, "warehouses", "list")
    require([one["id"] for one in listed] == [side.warehouse], f"`warehouses list`: {listed}")
    require(commands.json(side, "warehouses", "get", side.warehouse)["state"] == "STOPPED", "the warehouse is not at rest")
    out, error = commands.run(side, "warehouses", "start", "--wait", "--wait-timeout", "60s")
    require(json.loads(out)["state"] == "RUNNING" and "is STARTING" in error, f"`start --wait` told no progress: {error}")
    require(commands.json(side, "warehouses", "stop", "dev-small", "--wait")["state"] == "STOPPED", "`stop --wait` did not wait")


def clusters(commands, side):
    require(commands.json(side, "clusters", "list")[0]["cluster_id"] == side.cluster, "`clusters list` lacks the cluster")
    types = commands.json(side, "clusters", "node-types")
    require(any(one["node_type_id"] == "i3.xlarge" for one in types), f"`node-types`: {types}")
    require(commands.json(side, "clusters", "terminate", "--wait")["state"] == "TERMINATED", "`terminate --wait` did not wait")
    _, error = commands.run(side, "clusters", "restart", code=5)
    require("INVALID_STATE" in error, f"a restart of a terminated cluster: {error}")
    # Nothing but a job of its own starts one, so it is said, and nothing is sent that would.
    _, error = commands.run(side, "contexts", "create", code=4)
    require("--start" in error and "TERMINATED" in error, f"a context on a terminated cluster: {error}")
    started = side.workspace.journal(method="POST", path="/api/2.1/clusters/start")
    require(not started, "the cluster was started though nobody said so")
    require(commands.json(side, "clusters", "start", "--wait")["state"] == "RUNNING", "`start --wait` did not wait")
    require(commands.json(side, "clusters", "restart", "--wait")["state"] == "RUNNING", "`restart --wait` did not wait")
    gone = commands.run(side, "clusters", "get", "0000-000000-missing0", code=2)[1]
    require("does not exist" in gone, f"a cluster that is not there: {gone}")
    require(commands.json(side, "clusters", "get")["state"] == "RUNNING", "`clusters get` of the connection's cluster")


def code(commands, side):
    side.workspace.settings(context_pending_seconds=1.0, command_seconds=1.0)
    context = commands.json(side, "contexts", "create", "--language", "python", "--wait")["id"]
    at = ("--context", context)
    ran = commands.json(side, "commands", "run", "print('hello')", *at, "--wait")
    require(ran["results"] == {"resultType": "text", "data": "hello", "truncated": False}, f"the result of a command: {ran}")
    command = commands.json(side, "commands", "run", "print(7)", *at)["id"]
    require(commands.json(side, "commands", "status", command, *at)["status"] in ("Queued", "Running"), "a command ended before its time")
    require(commands.json(side, "commands", "status", command, *at, "--wait")["results"]["data"] == "7", "the result of a command asked for later")
    out, error = commands.run(side, "commands", "run", "raise ValueError('no')", *at, "--wait", code=5)
    require(json.loads(out)["results"]["resultType"] == "error" and "ValueError" in error, f"code that fails: {error}")
    rows = {"resultType": "table", "schema": [{"name": "n", "type": '"int"'}], "data": [[1], [None]], "truncated": True}
    side.workspace.control("POST", "commands", {"pattern": "two rows", "results": rows})
    side.workspace.control("POST", "commands", {"pattern": "picture", "results": {"resultType": "image", "fileName": "/plots/a.png"}})
    table = commands.json(side, "commands", "run", "select 'two rows'", *at, "--language", "sql", "--wait")["results"]
    require(table["data"] == [[1], [None]] and table["truncated"], f"a table: {table}")
    require(commands.json(side, "commands", "run", "picture", *at, "--wait")["results"]["file"] == "/plots/a.png", "an image")
    commands.run(side, "clusters", "restart", "--wait")
    lost = commands.run(side, "commands", "run", "print(1)", *at, code=5)[1]
    require("ContextNotFound" in lost, f"a lost context: {lost}")
    commands.run(side, "clusters", "terminate", "--wait")
    started = commands.json(side, "contexts", "create", "--start", "--language", "sql", "--wait")["id"]
    require(commands.json(side, "contexts", "destroy", started)["destroyed"], "a context is not given up")


def odds(commands, side):
    """Lists in pages beside the vendor's client, what runs already and what rests already, each language, and a cluster that ends under a command."""
    stand_in = side.workspace
    commands.json(side, "warehouses", "start", "--wait")
    require(commands.json(side, "warehouses", "start")["state"] == "RUNNING", "a start of what runs")
    commands.json(side, "warehouses", "stop", "--wait")
    require(commands.json(side, "warehouses", "stop")["state"] == "STOPPED", "a stop of what rests")
    for number in range(4):
        spec = {"cluster_name": f"more {number}", "spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
        _, made = stand_in.admin("POST", "/api/2.1/clusters/create", spec)
        stand_in.permit(f"{side.name}-lander", "clusters", made["cluster_id"], "CAN_RESTART")
        stand_in.permit(f"{side.name}-lander", "warehouses", stand_in.warehouse(f"more {number}"), "CAN_USE")
    theirs = client(stand_in, client_id=side.principal["client_id"], client_secret=side.principal["client_secret"])
    for size in (1, 2, 1000):
        stand_in.settings(page_size_max=size)
        since = len(stand_in.journal())
        ours = ([one["cluster_id"] for one in commands.json(side, "clusters", "list")], [one["id"] for one in commands.json(side, "warehouses", "list")])
        pages = len([entry for entry in stand_in.journal()[since:] if re.search("clusters/list|sql/warehouses", entry["path"])])
        require(ours == ([one.cluster_id for one in theirs.clusters.list()], [one.id for one in theirs.warehouses.list()]), f"lists in pages of {size}: {ours}")
        require(len(ours[0]) == len(ours[1]) == 5 and (pages >= 10 // size), f"five each in pages of {size}: {ours} by {pages} requests")
    for language in ("scala", "sql", "r"):
        context = commands.json(side, "contexts", "create", "--language", language, "--wait")["id"]
        text = "select 8" if language == "sql" else "print(8)"
        ran = commands.json(side, "commands", "run", text, "--context", context, "--language", language, "--wait")["results"]
        require(ran.get("data") in ("8", [["8"]]), f"{language}: {ran}")
    stand_in.control("POST", "commands", {"pattern": "for long", "seconds": 3600})
    command = commands.json(side, "commands", "run", "print('for long')", "--context", context, "--language", "r")["id"]
    commands.json(side, "clusters", "terminate", "--wait")
    ended = commands.run(side, "commands", "status", command, "--context", context, "--wait", code=5)[1]
    require("ClusterNotReadyException" in ended, f"a cluster that ended under a command: {ended}")
    commands.json(side, "clusters", "start", "--wait")


def complete(world, commands, sides):
    """Every action that the help names has been run, with --debug; what deletes a cluster for good has not."""

    def actions(*words):
        """Of a group its actions, of an action itself."""
        ended, text, error = world.cli("databricks", *words, "--help")
        require(ended == 0, f"the help of {words}: {error}")
        if "\nCommands:" not in text:
            return {words}
        listed = text.partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
        names = [line.split()[0] for line in listed if re.match(r"  \S", line)]
        return set().union(*(actions(*words, name) for name in names if name != "help"))

    known = actions()
    said = [words.split(" ")[1:] for words in commands.said if "--debug" in words]
    missed = sorted(" ".join(action) for action in known if not any(tuple(words[:len(action)]) == action for words in said))
    require(len(known) >= 19 and not missed, f"never run with --debug: {missed} of {len(known)}")
    for side in sides:
        deleted = side.workspace.journal(path="/api/2.1/clusters/permanent-delete")
        require(not deleted, f"a cluster was deleted for good: {deleted}")
    world.note(f"{len(known)} actions, each with --debug")


def statements(commands, side):
    stand_in = side.workspace
    # The service starts a warehouse at rest.
    require(commands.json(side, "warehouses", "get")["state"] == "STOPPED", "the warehouse is not at rest")
    told = commands.json(side, "sql", "select :n as n, :text as t", "--param", "n:INT=41", "--param", "text=it's")
    require(told["rows"] == [["41", "it's"]], f"parameters: {told}")
    require(commands.json(side, "warehouses", "get")["state"] == "RUNNING", "the statement started no warehouse")
    told = commands.json(side, "sql", "select :my_name", "--params", SAMPLE + "]")
    require(told["rows"] == [["the name"]], f"the page's parameters, mended: {told}")
    before = len(stand_in.statements())
    broken = commands.run(side, "sql", "select :my_name", "--params", SAMPLE, code=2)[1]
    require("line=`1` column=`43`" in broken and len(stand_in.statements()) == before, f"the page's parameters as they are: {broken}")
    failed = commands.run(side, "sql", "select nope", code=5)[1]
    require("UNRESOLVED_COLUMN" in failed and "42703" in failed, f"a statement that fails: {failed}")
    rows = [[str(n), None if n % 7 == 0 else f"name {n}"] for n in range(2_500)]
    stand_in.script("from many", columns=[["n", "INT"], ["name", "STRING"]], rows=rows)
    stand_in.settings(chunk_rows=400)
    for words in ((), ("--external-links",)):
        told = commands.json(side, "sql", "select * from many", *words)
        require(told["rows"] == rows and told["total_row_count"] == 2_500, f"2,500 rows in chunks, {words}: {len(told['rows'])}")
    csv = commands.run(side, "sql", "select * from many", "--format", "csv")[0].splitlines()
    require(len(csv) == 2_501 and csv[0] == "n,name", f"CSV: {len(csv)} lines, {csv[:2]}")
    stand_in.script("from slow", columns=[["n", "INT"]], rows=[["1"]], seconds=20)
    submitted = commands.json(side, "sql", "--async", "select * from slow")
    require(submitted["state"] == "PENDING", f"--async: {submitted}")
    stand_in.advance(30)
    told = commands.json(side, "statement", "get", submitted["statement_id"], "--wait")
    require(told["rows"] == [["1"]], f"a statement asked for later: {told}")
    other = commands.json(side, "sql", "--async", "select * from slow")["statement_id"]
    require(commands.json(side, "statement", "cancel", other, "--wait")["state"] == "CANCELED", "`statement cancel`")
    commands.run(side, "statement", "get", other, code=4)
    commands.run(side, "sql", "select * from slow", "--wait-timeout", "1s", code=4)
    require(stand_in.journal(method="POST", path="/api/2.0/sql/statements/[^/]+/cancel"), "a wait in vain canceled nothing")
    stand_in.script("copy into", error={"message": "no such file", "sql_state": "42K03"})
    copy = f"copy into t from 's3://b/x' with (credential (azure_sas_token = '{PLANTED['sql']}')) fileformat = parquet"
    commands.run(side, "sql", copy, code=5)


def raw(world, commands, side, echoes):
    listed = commands.json(side, "request", "/2.1/clusters/list")
    require(listed["clusters"][0]["cluster_id"] == side.cluster, f"a path with a slash: {listed}")
    require(commands.json(side, "request", "2.1/clusters/list?page_size=100") == listed, "a path without a slash")
    require(commands.json(side, "request", f"{side.workspace.host}/api/2.1/clusters/list") == listed, "the workspace's whole URL")
    trusted, other = echoes
    for echo, has_token in ((trusted, True), (other, False)):
        told = commands.json(side, "request", f"{echo.url}/any", "--include", "--header", "X-Own: v")
        sent = echo.take()
        require(told["status"] == 200 and sent.headers.get("x-own") == "v", "an absolute URL")
        require((sent.headers.get("authorization") is not None) == has_token, f"the token at a host that is {'' if has_token else 'not '}listed")
    # A redirect is an answer that is no success, and is not followed with the token in hand.
    commands.run(side, "request", f"{trusted.url}/redirect?to={other.url}/stolen", code=4)
    require(all(one.headers.get("authorization") is None for one in other.all()), "the token went along a redirect to another host")
    trusted.clear()
    part = world.folder / "part.bin"
    part.write_bytes(bytes(range(256)))
    commands.run(side, "request", f"{trusted.url}/form", "--form", f"field={PLANTED['form']}", "--file", f"content={part}", "--file-name", "content=other.bin")
    sent = trusted.take()
    parts = {one.get_param("name", header="content-disposition"): one for one in multipart(sent)}
    require(sent.method == "POST" and parts["content"].get_filename() == "other.bin", f"the parts of a form: {list(parts)}")
    require(parts["content"].get_payload(decode=True) == bytes(range(256)), "a file's bytes in a form")
    commands.run(side, "request", "/2.0/x", "--data", "a", "--form", "b=c", code=2)
    commands.run(side, "request", "/2.0/x", "--file", f"content={part}", "--file-name", "other=x", code=2)
    for header in ("Authorization: Bearer other", "X: a\r\nY: b"):
        commands.run(side, "request", f"{trusted.url}/any", "--header", header, code=2)
    got = world.folder / "got.bin"
    commands.run(side, "request", f"{trusted.url}/bytes", "--response", "binary", "--output", got)
    require(got.read_bytes() == bytes(range(256)), "a binary answer")
    require(commands.run(side, "request", f"{trusted.url}/text", "--response", "text")[0] == "plain é\n", "a text answer")
    require("no JSON" in commands.run(side, "request", f"{trusted.url}/text")[1], "an answer that is no JSON is not told so")
    trusted.clear()
    secrets = ("--header", f"X-Api-Key: {PLANTED['header']}", "--query", f"sig={PLANTED['query']}", "--data", json.dumps({"client_secret": PLANTED["body"]}))
    _, error = commands.run(side, "request", f"{trusted.url}/any?sv=1&sig={PLANTED['sas']}", *secrets)
    require("/any" in error and "200" in error, f"--debug shows no request: {error}")
    sent = trusted.take()
    require(PLANTED["header"] == sent.headers.get("x-api-key") and PLANTED["query"] in sent.target and PLANTED["body"] in sent.body.decode(), "what was planted was not sent")


def refusals(commands, side):
    stand_in = side.workspace
    stand_in.fault(path="/api/2.1/clusters/list", status=429, retry_after=2, times=1)
    began = time.monotonic()
    commands.json(side, "clusters", "list")
    require(time.monotonic() - began >= 2, "Retry-After was not heeded")
    stand_in.fault(path="/api/2.0/preview/scim/v2/Me", reset=True, times=1)
    commands.json(side, "me")
    stand_in.fault(path="/api/2.0/preview/scim/v2/Me", status=403, error_code="PERMISSION_DENIED", message="not for you", times=1)
    denied = commands.run(side, "me", code=3)[1]
    require("not for you" in denied and "request_id=`" in denied, f"a refusal: {denied}")
    stand_in.clear_faults()


def matrix(world, commands, side):
    """method × outcome × flag: how often the server is asked with two repetitions allowed."""
    stand_in, cells = side.workspace, 0
    outcomes = {str(status): {"status": status} for status in (302, 400, 404, 429, 500, 503)} | {"reset": {"reset": True}, "timeout": {"delay_seconds": 2.0}}
    for method in ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "PURGE"):
        for outcome, rule in outcomes.items():
            if outcome in ("timeout", "302", "404") and method not in ("GET", "POST"):
                continue
            for every in (False, True):
                cells += 1
                path = f"/api/2.0/matrix/{cells}"
                stand_in.fault(path=f"{path}$", times=None, **rule)
                words = ["--max-retries", "2", "--timeout-ms", "500" if outcome == "timeout" else "20000", *(["--retry-all-errors"] if every else [])]
                ended, _, error = commands._world.cli(
                    "databricks", "request", path.removeprefix("/api"), "-X", method, *words, "--connection", side.name, "--config", commands._path)
                require(ended != 0, f"{method} {outcome} ended well")
                again = every or outcome == "reset" or (method in IDEMPOTENT and outcome in ("429", "500", "503"))
                tries = len(stand_in.journal(path=f"{path}$"))
                if outcome == "timeout":  # the journal is written once the delay is over
                    time.sleep(2.1)
                    tries = len(stand_in.journal(path=f"{path}$"))
                require(tries == (3 if again else 1), f"{method} {outcome} retry_all_errors={every}: asked {tries} times\n{error}")
    stand_in.clear_faults()
    world.note(f"{cells} cells of the retry matrix")


def apart(commands, dev, prod):
    """Neither workspace sees what belongs to the other."""
    require(commands.json(prod, "me")["displayName"] == "prod-lander", "`--connection prod` told of somebody else")
    commands.json(prod, "warehouses", "list")
    commands.json(dev, "warehouses", "list")
    seen = {}
    for side in (dev, prod):
        entries = side.workspace.journal()
        seen[side.name] = {entry["headers"].get("authorization") for entry in entries} - {None}
        others = {entry["principal"] for entry in entries} - {None, side.principal["client_id"], "admin@example.com"}
        require(not others, f"{side.name} was asked by others: {others}")
        require(not any(entry["status"] == 401 for entry in entries), f"{side.name} refused a token")
    both = seen["dev"] & seen["prod"]
    require(seen["dev"] and seen["prod"] and not both, f"credentials were seen at both workspaces: {both}")


def checked(commands, dev, prod):
    ended, out, error = commands.check()
    require(ended == 0 and out.endswith("Success!\n"), f"`alluvium check` of two workspaces ended with {ended}:\n{out}{error}")
    require(out.count("Unity Catalog is enabled") == 2 and out.count("authenticated as service principal") == 2, f"`alluvium check`: {out}")
    dev.workspace.control("POST", "metastore", {"assigned": False})
    prod.workspace.permit("prod-lander", "warehouses", prod.warehouse, None)
    ended, out, error = commands.check()
    require(ended != 0 and "no metastore is assigned" in out, f"`alluvium check` without Unity Catalog: {out}{error}")
    require("warehouse" in out.split("connection prod")[1] and "FAULT" in out.split("connection prod")[1], f"`alluvium check` without CAN USE: {out}")
    commands.said["check"] = out + error


def silent(world, commands, sides):
    """The text of a command is not what it said: only outputs are searched."""
    known = {*PLANTED.values(), *(side.principal["client_secret"] for side in sides)}
    for words, text in commands.said.items():
        for secret in known:
            for spelling in spellings(secret):
                if spelling in text:
                    raise CheckFailed(f"`alluvium databricks {words[:60]}…` shows a secret: {excerpt(text, spelling)}")
        require("Bearer ey" not in text and "Bearer dapi" not in text, f"a token stands in what `{words[:60]}` said")
    size = sum(map(len, commands.said.values()))
    world.note(f"{len(known)} secrets sought in {len(commands.said)} outputs of {size} bytes")


def multipart(sent):
    head = f"content-type: {sent.headers.get('content-type')}\r\n\r\n".encode()
    return list(email.message_from_bytes(head + sent.body, policy=email.policy.HTTP).iter_parts())


class Echo:
    """Remembers requests and answers them by their path."""

    def __init__(self):
        self._asked = []
        self.server = web.Server(free_port(), self._answer)
        self.url = self.server.url

    async def _answer(self, request):
        self._asked.append(request)
        if request.path == "/redirect":
            return web.Reply(302, b"", web.Headers([("Location", request.query["to"])]))
        if request.path == "/bytes":
            return web.Reply(200, bytes(range(256)), web.Headers([("Content-Type", "application/octet-stream")]))
        if request.path == "/text":
            return web.Reply(200, "plain é".encode(), web.Headers([("Content-Type", "text/plain")]))
        return web.Reply(200, b"{}", web.Headers([("Content-Type", "application/json")]))

    def all(self):
        return list(self._asked)

    def take(self):
        require(len(self._asked) == 1, f"asked {len(self._asked)} times, not once")
        return self._asked.pop()

    def clear(self):
        self._asked.clear()

    def stop(self):
        self.server.stop()
