"""The jars: locked, whole or not at all, fetched once however many ask."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from local import jars as module
from local.jars import JarsError, cache_folder, jars

_LOCK = """
[metadata]
jgo_version = "2.0.0"

[[dependencies]]
groupId = "org.example"
artifactId = "till"
version = "1.2"
packaging = "jar"
sha256 = "{sha256}"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose Maven repository holds one jar, so that nothing is fetched from anywhere."""
    folder = tmp_path / "home" / ".m2" / "repository" / "org" / "example" / "till" / "1.2"
    folder.mkdir(parents=True)
    (folder / "till-1.2.jar").write_bytes(b"a jar")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def lock(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(body: bytes) -> Path:
        path = tmp_path / "lock.toml"
        path.write_text(_LOCK.format(sha256=sha256(body).hexdigest()))
        return path

    return write


def test_cache_is_the_users(home: Path) -> None:
    assert cache_folder() == home / ".cache" / "tillwatch"
    assert cache_folder({"XDG_CACHE_HOME": "/elsewhere"}) == Path("/elsewhere/tillwatch")


def test_locked_jars_are_fetched_once(home: Path, lock: Callable[[bytes], Path]) -> None:
    told: list[str] = []
    folder = jars(told.append, lock=lock(b"a jar"))
    assert [jar.read_bytes() for jar in folder.iterdir()] == [b"a jar"]
    assert told
    told.clear()
    assert jars(told.append, lock=lock(b"a jar")) == folder
    assert not told


def test_other_bytes_than_the_locked_are_refused(home: Path, lock: Callable[[bytes], Path]) -> None:
    with pytest.raises(JarsError, match=r"org\.example:till:1\.2"):
        jars(lambda _: None, lock=lock(b"what it should be"))
    assert not [path for path in (home / ".cache" / "tillwatch").iterdir() if path.is_dir()]


def test_many_askers_at_once_share_one_fetch(home: Path, lock: Callable[[bytes], Path]) -> None:
    path = lock(b"a jar")
    told: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: jars(told.append, lock=path), range(4)))
    assert len(set(folders)) == 1
    assert len([line for line in told if line.startswith("fetching")]) == 1


def test_half_fetch_of_a_killed_process_is_removed(
    home: Path, lock: Callable[[bytes], Path]
) -> None:
    path = lock(b"a jar")
    folder = jars(lambda _: None, lock=path)
    stale = folder.with_name(f"{folder.name}.part-killed")
    folder.rename(stale)
    jars(lambda _: None, lock=path)
    assert not stale.exists()


@pytest.mark.parametrize(
    ("mirror_of", "found"),
    [
        ("*", "https://mirror.example/maven2"),
        ("central", "https://mirror.example/maven2"),
        ("*,!central", None),
        ("jboss", None),
    ],
)
def test_mirror_of_the_users_maven_is_used(
    tmp_path: Path, mirror_of: str, found: str | None
) -> None:
    settings = tmp_path / "settings.xml"
    settings.write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors><mirror>'
        f"<id>m</id><mirrorOf>{mirror_of}</mirrorOf><url>https://mirror.example/maven2/</url>"
        "</mirror></mirrors></settings>"
    )
    assert module._mirror(settings) == found
    assert module._mirror(tmp_path / "none.xml") is None


def test_every_locked_jar_has_its_hash() -> None:
    from jgo.env import LockFile

    locked = LockFile.load(module.LOCK).dependencies
    assert len(locked) > 100
    assert all(len(jar.sha256) == 64 for jar in locked)
