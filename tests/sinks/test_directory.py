from pathlib import Path

import pytest

from sinks.directory import DirectoryObjectStore


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../up", "a/../../up", "a//b", "a/./b", "a/", ".hidden", "a\0b"]
)
def test_keys_that_lead_elsewhere_are_refused(tmp_path: Path, key: str) -> None:
    store = DirectoryObjectStore(tmp_path / "objects")
    for act in (store.get, store.delete, lambda name: store.put(name, b"")):
        with pytest.raises(ValueError, match="not a key"):
            act(key)
    assert list(tmp_path.rglob("*")) == []


def test_a_put_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryObjectStore(tmp_path)
    store.put("a", b"first")

    def no_space(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("sinks.directory.os.fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        store.put("a", b"second")
    assert store.get("a") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_put_left_is_no_object(tmp_path: Path) -> None:
    store = DirectoryObjectStore(tmp_path)
    store.put("a/b", b"whole")
    (tmp_path / "a" / ".partial-x1").write_bytes(b"ha")
    assert store.keys("") == ["a/b"]
