"""The embedded stack: AWS endpoint, OpenSearch node, and what a worker expects to find in them."""

import os
import time
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.aws import AwsEndpoint
from local.jars import Progress
from local.opensearch import OpenSearchNode
from local.provision import Provisioned, apply_templates, provision
from local.state_folder import StateFolder

DEFAULT_STATE = Path(".tillwatch/demo")

_SOCKET_FOLDER_CHARACTERS_MAX = 60
# Ours, or a stranger's: neither may reach a worker of the embedded stack from outside.
_KEPT_OUT = ("AWS_", "TILLWATCH_")


class Stack:
    """Everything that a worker needs, on this machine, for as long as the context lasts.

    State lies in `state`, which it empties first and leaves behind, or with `keep=False` removes
    when the context did not fail. `opensearch=False` leaves the
    node out, for tests that do not need it. `heap` is the node's. `aws` and `node` are parts that
    run already: they are used, and neither started nor ended; `name` keeps stacks in one endpoint
    apart.
    """

    def __init__(
        self,
        state: Path = DEFAULT_STATE,
        *,
        shards: int = 1,
        opensearch: bool = True,
        heap: str = "512m",
        aws: AwsEndpoint | None = None,
        node: OpenSearchNode | None = None,
        name: str = "tillwatch",
        keep: bool = True,
        progress: Progress = lambda _: None,
    ) -> None:
        self.folder = StateFolder(state, keep=keep)
        self.aws = aws or AwsEndpoint(self.folder.path / "aws")
        self.node = node
        if node is None and opensearch:
            folder = self.folder.path / "opensearch"
            self.node = OpenSearchNode(folder, heap=heap, progress=progress)
        self.provisioned: Provisioned
        self._name = name
        self._shards = shards
        self._own = [part for part in (self.aws, self.node) if part not in (aws, node)]
        self._progress = progress
        self._parts = ExitStack()
        self._renewals = 0

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            parts.enter_context(self.folder)
            self._progress(f"state lies in {self.folder.path}")
            began = time.monotonic()
            if self.aws in self._own:
                parts.enter_context(self.aws)
                self._tell(f"AWS endpoint at {self.aws.url}", began)
            self.provisioned = provision(self.aws, name=self._name, shards=self._shards)
            self._progress(f"created stream ({self._shards} shards), tables, bucket, topic, queues")
            if self.node is not None:
                began = time.monotonic()
                if self.node in self._own:
                    parts.enter_context(self.node)
                apply_templates(self.node.url)
                self._tell(f"OpenSearch at {self.node.url}, index templates in place", began)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._parts.__exit__(kind, error, trace)

    def renew(self, *, shards: int = 1) -> Provisioned:
        """Fresh names at the same endpoint and no index in OpenSearch: what a test begins with."""
        self._renewals += 1
        if self.node is not None:
            client = self.search_client()
            try:
                made = "transactions-*,pages-*,verdicts*,suppressions*,rejections-*,operations*"
                client.indices.delete(index=made)
            finally:
                client.close()
        name = f"{self._name}-{self._renewals}"
        self.provisioned = provision(self.aws, name=name, shards=shards)
        return self.provisioned

    def search_client(self) -> Any:
        """An opensearch-py client for the node; close it after use."""
        from sinks.opensearch_client import connect

        if self.node is None:
            raise ValueError("this stack was made without OpenSearch")
        return connect(self.node.url)

    def environment(self) -> dict[str, str]:
        """The whole environment of a worker of this stack, and of the console.

        It is this process's environment without settings and credentials of others, and with the
        settings of the worker; `TILLWATCH_OPENSEARCH_URL` is left out where there is no node.
        """
        made = self.provisioned
        scratch = self.folder.path / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not _is_kept_out(name)},
            **self.aws.environment(),
            "TILLWATCH_APPLICATION": made.application,
            "TILLWATCH_STREAM": made.stream,
            "TILLWATCH_REGION": self.aws.region,
            "TILLWATCH_AWS_ENDPOINT": self.aws.url,
            "TILLWATCH_BUCKET": made.bucket,
            "TILLWATCH_TOPIC_ARN": made.topic_arn,
            "TILLWATCH_DEAD_LETTER_QUEUE_URL": made.dead_letter_queue_url,
            "TILLWATCH_LEDGER_TABLE": made.ledger_table,
            "TILLWATCH_PSEUDONYM_KEY": self.folder.pseudonym_key(),
            "TILLWATCH_KCL_PROPERTIES": str(files("properties").joinpath("local.properties")),
        }
        if self.node is not None:
            environment["TILLWATCH_OPENSEARCH_URL"] = self.node.url
        # The worker's own temporary folder holds a socket, whose path the kernel bounds, and the
        # name of a program, which KCL splits at spaces.
        if len(str(scratch)) <= _SOCKET_FOLDER_CHARACTERS_MAX and " " not in str(scratch):
            environment["TMPDIR"] = str(scratch)
        return environment

    def _tell(self, what: str, began: float) -> None:
        self._progress(f"{what} ({time.monotonic() - began:.1f} s)")


def _is_kept_out(name: str) -> bool:
    # JAVA_HOME may be of any age; the Java that comes with Tillwatch is known to work.
    return name == "JAVA_HOME" or name.startswith(_KEPT_OUT)
