"""MinIO, for long runs: an S3 server whose sessions are its own."""

import os
import urllib.request

from .daemon import free_port
from .moto import Moto
from .procs import Process, require, wait_until


class Minio(Moto):
    """One MinIO on 127.0.0.1. Its STS gives `admin` sessions of 900 s and more, and looks at no role and no external id."""

    def __init__(self, binary, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = {"id": "minio-root", "secret": "minio-root-secret"}
        self.process = Process(
            [binary, "server", "--address", f"127.0.0.1:{self.port}", "--console-address", f"127.0.0.1:{free_port()}",
             "--quiet", folder], f"{folder}.log",
            env={**os.environ, "MINIO_ROOT_USER": self.admin["id"], "MINIO_ROOT_PASSWORD": self.admin["secret"], "MINIO_BROWSER": "off",
                 "MINIO_UPDATE": "off"},
        )
        wait_until(self._answers, 60, "MinIO")
        self.s3 = self.client("s3", self.admin)

    def _answers(self):
        require(self.process.alive(), f"MinIO ended:\n{self.process.tail()}")
        try:
            with urllib.request.urlopen(f"{self.url}/minio/health/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False
