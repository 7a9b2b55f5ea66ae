"""`python -m workspace --state-dir DIR [--port N]`: runs until SIGTERM, and prints its endpoints as one line of JSON."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from .app import HOSTS, App
from .sql.engine import Engine
from .sql.remote import RemoteEngine


async def serve(app: App, ports: dict[str, int]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await app.start(ports)
    print(json.dumps(app.endpoints()), flush=True)
    await stopped.wait()
    await app.stop()


def engine(options: argparse.Namespace) -> Engine | None:
    if options.sql == "none":
        return None
    if options.sql.startswith("http://"):
        return RemoteEngine(options.sql)
    if options.sql != "spark":
        sys.exit("--sql is none, spark or a URL")
    from .sql import spark  # here: pyspark is needed only by who asks for it

    settings = dict(each.split("=", 1) for each in options.spark_conf)
    return spark.SparkEngine(spark.session(options.spark_jars, settings), dict(each.split("=", 1) for each in options.place), owned=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workspace", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="what is remembered; a start over the same folder goes on")
    parser.add_argument("--port", type=int, default=0, help="of the workspace; 0 takes the one of the last start, or a free one")
    for host in HOSTS[1:]:
        parser.add_argument(f"--{host}-port", type=int, default=0)
    parser.add_argument("--admin-token", help="the administrator's personal access token; made up at the first start otherwise")
    parser.add_argument("--sql", default="none", help='what runs SQL: "none" (written answers and literals), "spark" (a session of its own, with pyspark and '
                        'the jars of Delta), or the URL of an engine elsewhere')
    parser.add_argument("--spark-jars", help="the jars of Delta, separated by commas")
    parser.add_argument("--spark-conf", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--place", action="append", default=[], metavar="URL=PATH", help="where Spark finds the locations below a URL")
    options = parser.parse_args()
    ports = {"workspace": options.port} | {host: getattr(options, f"{host}_port") for host in HOSTS[1:]}
    asyncio.run(serve(App(options.state_dir, engine(options), options.admin_token), ports))


if __name__ == "__main__":
    main()
