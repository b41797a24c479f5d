import tomllib
from hashlib import sha256

from console.app import STATIC

FOLDER = STATIC / "vendor" / "uplot"


def test_vendored_files_are_the_ones_named() -> None:
    package = tomllib.loads((FOLDER / "PACKAGE.toml").read_text())
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in FOLDER.iterdir()
        if path.name != "PACKAGE.toml"
    }
    assert found == package["sha256"]
    assert f"v{package['version']})" in (FOLDER / "uPlot.iife.min.js").read_text()[:80]


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in STATIC.glob("*.*"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path.name
        assert "https:" not in text, path.name
        assert "innerHTML" not in text, path.name
        assert "style=" not in text, path.name
