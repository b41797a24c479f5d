"""The AWS endpoint of the embedded stack: ministack, one process, on loopback."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Self

from local.loopback import ask, free_port
from local.part import Part, PartError

REGION = "eu-west-1"

# The endpoint checks no signature; clients refuse to send a request without something to sign with.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "embedded",
    "AWS_SECRET_ACCESS_KEY": "embedded",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 10.0
_PORT_TRIES_MAX = 3


class AwsEndpoint:
    """Kinesis, DynamoDB, S3, SNS and SQS at `url`, for as long as the context lasts.

    Everything it writes lies in `folder`, which it empties first: state of an earlier run is gone.
    S3 objects lie there as files, so that Parquet files can be looked at with any tool; the rest is
    in memory. It listens at 127.0.0.1 and nowhere else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.objects = self.folder / "s3"
        self.region = REGION
        self.url = ""
        self._part: Part | None = None

    @property
    def pid(self) -> int:
        """The process id of the endpoint; only while it runs."""
        if self._part is None:
            raise PartError("the AWS endpoint is not running")
        return self._part.pid

    def start(self) -> Self:
        """Bring it up on a free port; returns when it answers.

        Raises:
            PartError: it did not come up.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "temporary").mkdir(parents=True)
        for attempt in range(1, _PORT_TRIES_MAX + 1):
            try:
                self._start(free_port())
            except PartError:
                # Between finding a free port and binding it, someone else may have taken it.
                if attempt == _PORT_TRIES_MAX:
                    raise
            else:
                break
        return self

    def _start(self, port: int) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **CREDENTIALS,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",  # or it also listens on 0.0.0.0:8883
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "0",
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.objects),
            "STATE_DIR": str(self.folder / "state"),
            "TMPDIR": str(self.folder / "temporary"),
        }
        log = self.folder / "endpoint.log"
        self._part = Part("the AWS endpoint", [sys.executable, "-m", "ministack"], environment, log)
        self.url = f"http://127.0.0.1:{port}"
        ready = f"{self.url}/_ministack/ready"
        self._part.wait_for(lambda: ask(ready, 2.0) is not None, _START_SECONDS_MAX)

    def stop(self) -> None:
        """End it; safe to call twice."""
        if self._part is not None:
            self._part.stop(_STOP_SECONDS_MAX)
            self._part = None

    def client(self, service: str) -> Any:
        """A boto3 client of `service` at this endpoint."""
        return self.client_at(service, self.url)

    def client_at(self, service: str, url: str, config: Any = None) -> Any:
        """A boto3 client of `service` at `url`, of nobody's profile; `config` is botocore's."""
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        # A person's own AWS profile has no say here: neither AWS_PROFILE nor ~/.aws is read.
        core = Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
            }
        )
        return boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
            botocore_session=core,
        ).client(
            service,
            endpoint_url=url,
            config=config or Config(proxies={}),  # loopback is nobody's proxy's business
        )

    def environment(self) -> dict[str, str]:
        """What an AWS client in another process needs to come here."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:  # Ctrl-C while it comes up, too
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()
