"""`alluvium check` of a Databricks connection, and its `--thorough` trial, against the stand-in workspace with Spark behind its warehouse.

Each fault is told apart, with a remedy; where the remedy is a statement, the administrator runs it as it was printed, and the check holds.
"""

import re
import threading

from harness.procs import require
from harness.workspace import SparkEngine, Workspace, unparsed

from .warehouse import governed, warm

PROBE = "_alluvium_probe"


class Scene:
    """The workspace, its lake, and `alluvium check` as a principal that has a right or lacks it."""

    def __init__(self, world, engine, *names):
        self._world, self.lake = world, world.folder / "lake"
        self.lake.mkdir()
        self.server = Workspace(world.folder / "workspace", engine.url)
        self.warehouse, self.principals = governed(self.server, self.lake, *names)
        self.server.settings(warehouse_starting_seconds=1.5, cluster_pending_seconds=1.5)
        status, answer = self.server.admin("POST", "/api/2.1/unity-catalog/schemas", {"name": "web", "catalog_name": "main"})
        require(status == 200, f"no schema: {answer}")
        for name in names:
            self.server.grant(name, "schema", "main.web", "USE_SCHEMA", "CREATE_TABLE")
        # So that the administrator may use what others look at.
        self.server.grant("admin@example.com", "catalog", "main", "ALL_PRIVILEGES")
        self.server.grant("admin@example.com", "external_location", "lake", "ALL_PRIVILEGES")
        self._count = 0

    def check(self, name, *words, auth=None, catalog="main", lake=None, tables=("clicks",), compute='warehouse = "small"'):
        """Exit code and report."""
        principal = self.principals[name]
        auth = auth or f'type = "oauth_m2m", client_id = "{principal["client_id"]}", client_secret = "{principal["client_secret"]}"'
        self._count += 1
        path = self._world.folder / f"check-{self._count}.toml"
        path.write_text(f"""
[lake]
url = "{lake or self.lake}"
[admin]
listen = ""
[connections.prod]
host = "{self.server.host}"
auth = {{ {auth} }}
{compute}
[table_defaults]
connection = "prod"
catalog = "{catalog}"
schema = "web"
authority = "warehouse"
""" + "".join(f"[tables.{table}]\n" for table in tables))
        code, out, error = self._world.cli("check", "--config", path, *words, seconds=180)
        require((code == 0) == out.endswith("Success!\n"), f"exit code {code} and no word of it, or the other way:\n{out}{error}")
        require("dapi" not in out + error and principal["client_secret"] not in out + error, "the check shows a secret")
        return code, out + (error if code else "")

    def holds(self, name, *words, says=(), **options):
        code, out = self.check(name, *words, **options)
        require(code == 0, f"the check of {name} ended with {code}:\n{out}")
        for text in says:
            require(text in out, f"the check of {name} does not say `{text}`:\n{out}")
        return out

    def fails(self, name, *says, code, **options):
        ended, out = self.check(name, **options)
        require(ended == code, f"the check of {name} ended with {ended}, not {code}:\n{out}")
        for text in says:
            require(text in out, f"the check of {name} does not say `{text}`:\n{out}")
        return out

    def sql(self, text):
        """A statement of the administrator's."""
        body = {"warehouse_id": self.warehouse, "statement": text, "wait_timeout": "50s"}
        status, answer = self.server.admin("POST", "/api/2.0/sql/statements", body)
        require(status == 200 and answer["status"]["state"] == "SUCCEEDED", f"`{text}`: {answer}")

    def stop_warehouse(self):
        self.server.admin("POST", f"/api/2.0/sql/warehouses/{self.warehouse}/stop")
        self.server.advance(5)

    def left(self):
        """What a trial left behind: in the catalog, and on the disk."""
        _, listed = self.server.admin("GET", "/api/2.1/unity-catalog/tables?catalog_name=main&schema_name=web")
        tables = [table["name"] for table in listed.get("tables", []) if table["name"].startswith(PROBE)]
        return tables + [str(path) for path in self.lake.rglob("*") if PROBE in path.parts and path.is_file()]


def run(world):
    spark = world.spark()
    warming = threading.Thread(target=warm, args=(world, spark))
    warming.start()
    engine = SparkEngine(spark)
    scene = Scene(world, engine, "lander", "bare", "nowhere", "cluster", "reader")
    try:
        stopped_and_running(scene)
        credential(scene)
        grants(scene)
        places(scene)
        without_warehouse(scene)
        a_cluster(scene)
        warming.join()
        thorough(world, scene)
        registered(world, scene, spark)
        no_metastore(scene)
    finally:
        warming.join()
        scene.server.stop()
        engine.stop()


def stopped_and_running(scene):
    before = len(scene.server.statements())
    out = scene.holds("lander", says=["was STOPPED and was started", "runs statements", "authenticated as service principal lander", "Unity Catalog is enabled"])
    require("WARNING" not in out.split("connection prod")[1], f"a warning without a reason:\n{out}")
    scene.holds("lander", says=[f"warehouse small ({scene.warehouse}) runs", "the present token ends at"])
    require(scene.server.statements()[before:] == ["SELECT 1"] * 2, f"a check ran {scene.server.statements()[before:]}")
    starts = scene.server.journal(method="POST", path=f"/api/2.0/sql/warehouses/{scene.warehouse}/start")
    require(len(starts) == 1, f"the warehouse was started {len(starts)} times")


def credential(scene):
    scene.fails("lander", "the credential is refused", "a credential that is valid in this workspace", auth='type = "pat", token = "dapi0123456789abcdef0123456789abcdef"', code=3)
    principal = scene.principals["lander"]
    scene.fails("lander", "invalid_client", auth=f'type = "oauth_m2m", client_id = "{principal["client_id"]}", client_secret = "dose-wrong"', code=3)
    for lifetime, says in (({}, "the personal access token never ends"), ({"lifetime_seconds": 3 * 86400}, "token ends at")):
        name = "reader" if lifetime else "lander"
        token = scene.server.token(name, **lifetime)
        out = scene.holds(name, auth=f'type = "pat", token = "{token}"')
        require(any("WARNING" in line and says in line for line in out.splitlines()), f"no warning that {says}:\n{out}")


def grants(scene):
    """A principal that has nothing but its place in the workspace gets there by what the check tells."""
    scene.server.ungrant("bare", "catalog", "main", "USE_CATALOG", "CREATE_SCHEMA")
    scene.server.ungrant("bare", "schema", "main.web", "USE_SCHEMA", "CREATE_TABLE")
    scene.server.ungrant("bare", "external_location", "lake", "CREATE_EXTERNAL_TABLE", "READ_FILES", "WRITE_FILES")
    scene.server.grant("bare", "external_location", "lake", "BROWSE")
    told = []
    for _ in range(5):
        code, out = scene.check("bare")
        if code == 0:
            break
        require(code in (2, 3), f"missing rights ended with {code}:\n{out}")
        found = re.findall(r"^ {11}\S.*?(GRANT .*)$|^ {11}(GRANT .*)$", out, re.MULTILINE)
        found = [first or second for first, second in found]
        require(found and not set(found) & set(told), f"nothing new to grant:\n{out}")
        for grant in found:
            scene.sql(grant)
        told += found
    require(code == 0, f"after {told} the check still ends with {code}:\n{out}")
    for right in ("USE CATALOG", "USE SCHEMA", "CREATE TABLE", "CREATE EXTERNAL TABLE"):
        require(any(right in grant for grant in told), f"{right} was never told: {told}")
    hive = scene.check("lander", catalog="hive_metastore")
    require(hive[0] != 0 and "hive_metastore" in hive[1] and "Unity Catalog" in hive[1], f"hive_metastore: {hive}")


def places(scene):
    elsewhere = scene.lake.parent / "elsewhere"
    elsewhere.mkdir()
    scene.fails("lander", "no external location holds the folder", "CREATE EXTERNAL LOCATION", lake=elsewhere, code=2)
    scene.server.admin("PATCH", "/api/2.1/unity-catalog/external-locations/lake", {"read_only": True})
    scene.fails("lander", "the external location is read only", code=2)
    scene.server.admin("PATCH", "/api/2.1/unity-catalog/external-locations/lake", {"read_only": False})


def without_warehouse(scene):
    scene.server.permit("nowhere", "warehouses", scene.warehouse, None)
    scene.fails("nowhere", "the SQL warehouse is not to be had", "CAN_USE", compute=f'warehouse = "{scene.warehouse}"', code=3)
    scene.fails("lander", "the SQL warehouse is not to be had", compute='warehouse = "there is none"', code=2)
    scene.fails("lander", "names no SQL warehouse", "warehouses list", compute="", code=2)


def a_cluster(scene):
    """Nothing but a job of its own starts a terminated one, so the check does, before anything is run on it."""
    spec = {"cluster_name": "c", "spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
    status, made = scene.server.admin("POST", "/api/2.1/clusters/create", spec)
    require(status == 200, f"no cluster: {made}")
    cluster = made["cluster_id"]
    scene.server.advance(5)
    scene.server.permit("cluster", "clusters", cluster, "CAN_RESTART")
    scene.server.admin("POST", "/api/2.1/clusters/delete", {"cluster_id": cluster})
    scene.server.advance(5)
    compute, since = f'cluster = "{cluster}"', scene.server.journal()[-1]["number"]
    scene.holds("cluster", compute=compute, says=["was TERMINATED and was started", "runs statements"])
    posts = [entry["path"].rpartition("/api/")[2] for entry in scene.server.journal(since, method="POST", path="/api/")]
    require(posts[0] == "2.1/clusters/start" and posts.count("2.1/clusters/start") == 1, f"what was asked of a terminated cluster: {posts}")
    require(posts.index("1.2/contexts/create") > 0 and "1.2/commands/execute" in posts, f"nothing ran on the cluster: {posts}")
    scene.holds("cluster", compute=compute, says=["cluster c", "runs"])


def thorough(world, scene):
    scene.stop_warehouse()
    since = len(scene.server.statements())
    scene.holds("lander", "--thorough", says=["was STOPPED and was started", "a table was written beside it", "what we write is read back through the workspace"])
    ran = scene.server.statements()[since:]
    kinds = [text.split()[0] for text in ran]
    require(kinds == ["SELECT", "CREATE", "SELECT", "DROP"], f"the trial ran {ran}")
    require(not unparsed(ran), f"sqlglot does not parse {unparsed(ran)}")
    require(not scene.left(), f"the trial left {scene.left()}")
    # What fails on the way leaves as little.
    scene.server.fault(method="POST", path="/api/2.0/sql/statements$", skip=2, times=1, status=400, error_code="BAD_REQUEST", message="no reading today")
    code, out = scene.check("lander", "--thorough")
    scene.server.clear_faults()
    require(code != 0 and "cannot be read back" in out and "no reading today" in out, f"a table that cannot be read back ended with {code}:\n{out}")
    require(not scene.left(), f"the trial left {scene.left()}")
    scene.server.ungrant("reader", "external_location", "lake", "CREATE_EXTERNAL_TABLE")
    code, out = scene.check("reader", "--thorough")
    require(code in (3, 5) and "missing CREATE EXTERNAL TABLE" in out and "a table cannot be registered" in out, f"a trial without the right ended with {code}:\n{out}")
    require(not scene.left(), f"the trial left {scene.left()}")
    world.note(f"the trial ran {len(ran)} statements")


def registered(world, scene, spark):
    """What the catalog has of each table: nothing yet, another's, ours, ours with columns of yesterday."""
    place = scene.lake / "clicks"
    scene.holds("lander", says=["will be registered as main.web.clicks once it is there"])
    scene.sql(f"CREATE TABLE main.web.clicks (id BIGINT, at STRUCT<n: INT>) USING DELTA LOCATION 'file://{place}'")
    out = scene.fails("lander", "whether the catalog has it is not to be had", code=3)
    for grant in re.findall(r"GRANT SELECT ON TABLE .*", out):
        scene.sql(grant)
    ours = "registered as main.web.clicks, EXTERNAL, at its folder"
    scene.holds("lander", says=[f"{ours}, with the columns of its log"])
    spark.sql(f"alter table {spark.table(place)} add columns (late string)")
    out = scene.holds("lander", says=[ours, "`late` is in the log alone"])
    repair = re.search(r"MSCK REPAIR TABLE .*", out).group()
    scene.sql(repair)
    scene.holds("lander", says=[f"{ours}, with the columns of its log"])
    scene.sql(f"CREATE TABLE main.web.other (id BIGINT) USING DELTA LOCATION 'file://{scene.lake}/not_other'")
    scene.sql(f"GRANT SELECT ON TABLE main.web.other TO `{scene.principals['lander']['client_id']}`")
    scene.fails("lander", "the catalog has it at another place", tables=("clicks", "other"), code=2)


def no_metastore(scene):
    scene.server.control("POST", "metastore", {"assigned": False})
    scene.fails("lander", "no metastore is assigned", "assign a metastore to the workspace", code=1)
    scene.server.control("POST", "metastore", {"assigned": True})
