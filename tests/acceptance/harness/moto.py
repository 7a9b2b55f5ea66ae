"""moto: S3, STS and IAM with enforcement on, so that signatures, policies and trust conditions are judged as AWS does."""

import json
import os
import sys
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from .daemon import free_port
from .procs import Process, require, wait_until

ACCOUNT, REGION = "123456789012", "us-east-1"
# What a role needs to land and keep tables.
OBJECT_RIGHTS = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
BUCKET_RIGHTS = ("s3:ListBucket",)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def bucket_policy(bucket, without=()):
    """What a writer of tables needs on a bucket, less what is taken away."""
    objects = [right for right in OBJECT_RIGHTS if right not in without]
    lists = [right for right in BUCKET_RIGHTS if right not in without]
    # moto wants the right to delete many objects on the bucket too.
    resources = [f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"]
    statements = [{"Effect": "Allow", "Action": objects, "Resource": resources}]
    if lists:
        statements.append({"Effect": "Allow", "Action": lists, "Resource": f"arn:aws:s3:::{bucket}"})
    return document(*statements)


def assume_policy():
    return document({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})


class Moto:
    """One moto server on 127.0.0.1; `admin` may everything, everybody else what the policies say."""

    def __init__(self, folder, **options):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process(
            [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", self.port], f"{folder}.log",
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1000000000", "AWS_EC2_METADATA_DISABLED": "true"}, **options,
        )
        wait_until(self._answers, 60, "moto")
        boot = self.client("iam", {"id": "boot", "secret": "boot"})
        boot.create_user(UserName="admin")
        everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
        boot.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=everything)
        key = boot.create_access_key(UserName="admin")["AccessKey"]
        self.admin = {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
        enforce = urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST")
        with urllib.request.urlopen(enforce, timeout=10) as answer:
            answer.read()
        self.iam, self.s3 = self.client("iam", self.admin), self.client("s3", self.admin)

    def _answers(self):
        require(self.process.alive(), f"moto ended:\n{self.process.tail()}")
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def client(self, service, keys, url=None, **settings):
        """A boto3 client by `keys`: id, secret and, of a session, token."""
        return boto3.client(
            service, endpoint_url=url or self.url, region_name=REGION, aws_access_key_id=keys["id"], aws_secret_access_key=keys["secret"],
            aws_session_token=keys.get("token"), config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **settings),
        )

    def user(self, name, policy):
        """A user with one policy; returns its keys."""
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}

    def role(self, name, policy, external_id=None):
        """A role anybody may assume who names the external id; returns its ARN."""
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        if external_id is not None:
            trust["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        self.rights(name, policy)
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def rights(self, role, policy):
        self.iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=policy)

    def bucket(self, name):
        self.s3.create_bucket(Bucket=name)
        return name

    def keys(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def download(self, bucket, prefix, folder):
        """Brings what lies below a prefix into a local folder, for readers without S3; returns the folder."""
        folder = Path(folder)
        # The log first: files of a version that is seen are there already, and stay.
        for key in sorted(self.keys(bucket, prefix), key=lambda key: "/_delta_log/" not in key):
            target = folder / key[len(prefix):].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.write_bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchKey":  # cleaned away meanwhile
                    raise
        return folder

    def unfinished_uploads(self, bucket):
        return self.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])

    def stop(self):
        self.process.stop()
