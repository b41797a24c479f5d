"""The stacks' templates, made once: CDK takes seconds, and an installation of its own."""

from typing import Any

import pytest

import infra  # noqa: F401 -- it says which Node, ahead of CDK

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


class Stacks:
    """Templates as CloudFormation gets them."""

    def __init__(self, context: dict[str, str]) -> None:
        pytest.importorskip("aws_cdk", reason="it is made with `uv sync --group infra`")
        from aws_cdk import App
        from aws_cdk.assertions import Template

        from infra.app import build

        # What CDK itself knows of CloudFormation's schemas counts as an error here.
        strict = {"@aws-cdk/core:validateAgainstDefaultRules": True}
        app = App(analytics_reporting=False, context=strict)
        kept, runs = (Template.from_stack(stack).to_json() for stack in build(app, context))
        self.kept: dict[str, Any] = kept
        self.runs: dict[str, Any] = runs

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
def stacks() -> Stacks:
    """Both stacks of `CONTEXT`."""
    return Stacks(CONTEXT)
