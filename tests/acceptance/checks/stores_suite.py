"""The behavioural suite that every store must pass (src/storage/suite), over moto and Azurite; cargo has built it for `cargo test`."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import moto, stores
from harness.daemon import environment
from harness.procs import require

TEST = "stores::running_stores_pass_the_suite"


def run(world):
    root = Path(__file__).resolve().parents[3]
    if shutil.which("cargo") is None:
        world.skip("the behavioural suite", "cargo is not here")
        return
    s3, azure = world.moto(), world.azurite()
    bucket, container = s3.bucket("suite"), azure.container("suite")
    role = s3.role("suite", moto.bucket_policy(bucket), "suite-id")
    credentials = stores.role(role, "suite-id", s3.url, stores.static(s3.user("suite", moto.assume_policy())))
    configs = {
        f"s3://{bucket}/lake": stores.s3(s3.url, bucket, credentials, request_timeout_seconds=30),
        f"az://{container}/lake": stores.azure(
            azure.url, container, {"type": "sas", "token": azure.sas(container)}, request_timeout_seconds=30),
        f"{world.folder}/lake": "",
    }
    files = []
    for number, (lake, store) in enumerate(configs.items()):
        files.append(world.folder / f"{number}.toml")
        files[-1].write_text(f'[lake]\nurl = "{lake}"\n{store}')
    done = subprocess.run(
        ["cargo", "test", "--locked", "--test", "it", TEST, "--", "--exact", "--ignored", "--nocapture"], cwd=root, capture_output=True, text=True,
        timeout=900, check=False, env=environment({"STORES_UNDER_TEST": os.pathsep.join(map(str, files))}))
    passed = [line for line in done.stderr.splitlines() if line.startswith("passed: ")]
    require(done.returncode == 0 and len(passed) == len(files), f"{passed}; {done.stdout[-2000:]}{done.stderr[-3000:]}")
    world.note(f"{len(passed)} stores passed")
