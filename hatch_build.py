"""Compiles the C twins of the hot path where there is a C compiler; without one Python runs it all.

Every `<package>/_<name>.c` becomes the module `<package>._<name>` beside it. Their Python twins do
the same and are always there (docs/decisions/0018-native-twins.md), so what fails here is told and
is no failure.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
PACKAGES = ("events", "anomaly", "sinks", "consumer")
FLAGS = (
    "-shared",
    "-fPIC",
    "-O2",
    "-g0",
    "-Wall",
    "-Wextra",
    "-fwrapv",
    # A product and a sum stay two roundings, as they are in Python: scores are equal bit by bit.
    "-ffp-contract=off",
)


def compiler() -> list[str] | None:
    """The command of a C compiler, or None where there is none."""
    for said in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        command = shlex.split(said or "")
        if command and shutil.which(command[0]):
            return command
    return None


def compiled(source: Path) -> Path:
    """Where the module that is made of `source` lies."""
    return source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))


def build() -> list[str]:
    """Compile every twin in its place; what could not be, in words."""
    command = compiler()
    if command is None:
        return ["there is no C compiler"]
    include = sysconfig.get_path("include")
    failures = []
    for source in sorted(path for name in PACKAGES for path in (ROOT / name).glob("_*.c")):
        made = compiled(source)
        fresh = made.with_suffix(f".{os.getpid()}")
        called = [*command, *FLAGS, f"-I{include}", f"-I{ROOT}", str(source), "-o", str(fresh)]
        if sys.platform == "darwin":
            called += ["-undefined", "dynamic_lookup"]
        done = subprocess.run(  # noqa: S603 -- the compiler that this Python was built with
            called, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode:
            failures.append(f"{source.name}: {done.stderr.strip()}")
            fresh.unlink(missing_ok=True)
            made.unlink(missing_ok=True)  # an older one would be another's twin
        else:
            fresh.replace(made)  # in one step: a worker that runs has the old one open
    return failures


class NativeTwins(BuildHookInterface):
    """Hatchling's hook: compiles before a wheel is put together, and says what that makes of it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; a wheel with compiled modules is one for this Python and machine alone."""
        del version
        for failure in build():
            self.app.display_warning(f"Not compiled, Python will do: {failure}")
        made = [path for name in PACKAGES for path in (ROOT / name).glob("_*.c")]
        if any(compiled(path).exists() for path in made):
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["artifacts"] += [f"{name}/*.so" for name in PACKAGES]
