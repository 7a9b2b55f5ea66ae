"""`python -m workspace --state-dir DIR [--port N]`: runs until SIGTERM, and prints its endpoints as one line of JSON."""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from .app import HOSTS, App


async def serve(app: App, ports: dict[str, int]) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await app.start(ports)
    print(json.dumps(app.endpoints()), flush=True)
    await stopped.wait()
    await app.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workspace", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="what is remembered; a start over the same folder goes on")
    parser.add_argument("--port", type=int, default=0, help="of the workspace; 0 takes the one of the last start, or a free one")
    for host in HOSTS[1:]:
        parser.add_argument(f"--{host}-port", type=int, default=0)
    parser.add_argument("--admin-token", help="the administrator's personal access token; made up at the first start otherwise")
    parser.add_argument("--sql", default="none", help='what runs SQL: "none" (written answers and literals)')
    options = parser.parse_args()
    ports = {"workspace": options.port} | {host: getattr(options, f"{host}_port") for host in HOSTS[1:]}
    asyncio.run(serve(App(options.state_dir, None, options.admin_token), ports))


if __name__ == "__main__":
    main()
