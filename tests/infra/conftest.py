"""The stacks' templates, made once: CDK takes seconds, and an installation of its own."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import infra  # noqa: F401 -- it says which Node, ahead of CDK

ROOT = Path(__file__).parent.parent.parent
ACCOUNT = "123456789012"
CONTEXT = {
    "tillwatch:account": ACCOUNT,
    "tillwatch:image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/tillwatch:0.1.0",
    "tillwatch:alarm_emails": "oncall@example.com",
    "tillwatch:page_emails": "loss@example.com,area@example.com",
    "tillwatch:archive_key_secret": (
        f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:tillwatch/archive-AbCdEf"
    ),
    "tillwatch:setting.lateness_seconds": "1200",
    "tillwatch:setting.required_fields": "contact,lines",
}


SYNTHESIS_SECONDS_MAX = 280


def synthesize(context: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as CDK's command line runs it, with templates into `folder`."""
    if find_spec("aws_cdk") is None:
        pytest.skip("the templates are made with CDK: `uv sync --group infra`")
    return subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=ROOT,
        env=os.environ | {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SYNTHESIS_SECONDS_MAX,
    )


class Stacks:
    """Templates as CloudFormation gets them."""

    def __init__(self, context: dict[str, str], folder: Path) -> None:
        done = synthesize(context, folder)
        assert done.returncode == 0, done.stderr
        # What CDK's command line stops at, or would ask an account for.
        assert "missing" not in json.loads((folder / "manifest.json").read_text())
        for stack in ("tillwatch-state", "tillwatch-run"):
            said = (folder / f"{stack}.metadata.json").read_text()
            assert not [level for level in ("warning", "error") if f'"aws:cdk:{level}' in said]
        self.kept: dict[str, Any] = self._template(folder, "tillwatch-state")
        self.runs: dict[str, Any] = self._template(folder, "tillwatch-run")

    def _template(self, folder: Path, stack: str) -> dict[str, Any]:
        template: dict[str, Any] = json.loads((folder / f"{stack}.template.json").read_text())
        return template

    def of(self, kind: str, *, runs: bool = False) -> dict[str, Any]:
        """Resources of a kind by logical id."""
        template = self.runs if runs else self.kept
        found = template["Resources"].items()
        return {name: made for name, made in found if made["Type"] == f"AWS::{kind}"}

    def only(self, kind: str, *, runs: bool = False) -> Any:
        """The properties of the one resource of a kind."""
        (made,) = self.of(kind, runs=runs).values()
        return made["Properties"]


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    """Both stacks of `CONTEXT`."""
    return Stacks(CONTEXT, tmp_path_factory.mktemp("stacks"))


SHADOW = {
    "tillwatch:shadow": "bold",
    "tillwatch:shadow_detector": '{"pages_per_shop_week": 0.05}',
}


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    """Both stacks with a shadow."""
    return Stacks(CONTEXT | SHADOW, tmp_path_factory.mktemp("beside"))
