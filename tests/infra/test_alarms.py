"""Alarms: every one that docs/operations.md names is there, looks at what is told, and says where
to read on."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from consumer.logs import JsonFormatter
from consumer.metrics import METRICS
from infra.alarm import LOG_NAMESPACE, Alarm, Names
from infra.alarm_table import table
from infra.metrics_lines import NAMESPACE, NOT_READY
from tests.infra.conftest import Stacks

OPERATIONS = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text()
NAMES = Names(
    application="tillwatch",
    account="123456789012",
    cluster="c",
    service="s",
    stream="tillwatch",
    shards_min=2,
    workers=2,
    search_gib=100,
    dead_letters_usual=0,
)
ALARMS = {alarm.name: alarm for alarm in table(NAMES)}


def rows() -> dict[str, str]:
    """The table of docs/operations.md: what to alarm on, and the expression."""
    section = OPERATIONS.split("\n## Alarms\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| ([a-z ]+) \| (.+?) \| ", section, re.MULTILINE)[1:])


def test_every_alarm_of_the_document_is_one() -> None:
    assert len(rows()) >= 16
    assert rows().keys() - ALARMS.keys() == set()


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=lambda alarm: alarm.name)
def test_a_description_names_a_section_that_is_there(alarm: Alarm) -> None:
    assert f"\n## {alarm.section}\n" in OPERATIONS
    assert f'docs/operations.md, "{alarm.section}"' in alarm.description
    if alarm.section == "Alarms":
        assert alarm.name in rows()
    assert len(alarm.description) < 1_024


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=lambda alarm: alarm.name)
def test_what_is_looked_at_is_told(alarm: Alarm) -> None:
    known = {metric.name for metric in METRICS} | {NOT_READY}
    ours = [figure for figure in alarm.figures.values() if figure.namespace == NAMESPACE]
    for figure in ours:
        assert figure.name in known
        counted = figure.name.endswith("_total") or figure.name == "tillwatch_shards_held"
        assert figure.statistic == ("Sum" if counted else "Maximum")
    assert alarm.seconds * alarm.periods <= 86_400  # CloudWatch looks back no further


def test_thresholds_are_those_of_the_document() -> None:
    compared = 0
    for name, expression in rows().items():
        for metric, threshold in re.findall(r"max\((\w+)\) > (\d+)", expression):
            alarm = ALARMS[name]
            figures = {figure.name for figure in alarm.figures.values()}
            if name == "lag":  # CloudWatch's own figure, in milliseconds; "lag told" is ours
                assert alarm.threshold == 1_000 * float(threshold)
                alarm, figures = ALARMS["lag told"], {metric}
            assert (figures, alarm.threshold) == ({metric}, float(threshold)), name
            for number, unit in re.findall(r"for (\d+) (min|h)", expression):
                span = int(number) * {"min": 60, "h": 3_600}[unit]
                assert alarm.seconds * alarm.periods == span, name
            compared += 1
    assert compared >= 6


def test_silence_alarms_where_it_must() -> None:
    silent = {name for name, alarm in ALARMS.items() if alarm.missing == "breaching"}
    assert silent == {"no worker", "fewer workers", "no shards", "lag"}


def test_each_tells_the_topic_when_it_begins_and_when_it_ends(stacks: Stacks) -> None:
    made = stacks.of("CloudWatch::Alarm", runs=True)
    names = {alarm["Properties"]["AlarmName"] for alarm in made.values()}
    assert names == {f"tillwatch: {name}" for name in ALARMS}
    for alarm in made.values():
        said = alarm["Properties"]
        assert said["AlarmDescription"] == ALARMS[said["AlarmName"][11:]].description
        for told in (said["AlarmActions"], said["OKActions"]):
            assert "alarms" in json.dumps(told)
    subscribed = stacks.of("SNS::Subscription").values()
    assert {one["Properties"]["Endpoint"] for one in subscribed} == {
        "oncall@example.com",
        "loss@example.com",
        "area@example.com",
    }
    for one in subscribed:
        if one["Properties"]["Endpoint"] != "oncall@example.com":
            assert "undelivered" in json.dumps(one["Properties"]["RedrivePolicy"])


def filters(stacks: Stacks) -> dict[str, str]:
    return {
        made["Properties"]["MetricTransformations"][0]["MetricName"]: made["Properties"][
            "FilterPattern"
        ]
        for made in stacks.of("Logs::MetricFilter", runs=True).values()
    }


def counted(pattern: str, line: dict[str, Any]) -> bool:
    """Whether CloudWatch's filter takes the line: equality of fields, with * at either end."""
    terms = re.findall(r'\$\.(\w+) = "([^"]*)"', pattern)
    assert pattern == "{ " + " && ".join(f'$.{name} = "{text}"' for name, text in terms) + " }"
    return all(
        name in line and re.fullmatch(re.escape(text).replace(r"\*", ".*"), str(line[name]))
        for name, text in terms
    )


def logged(name: str, level: int, message: str) -> dict[str, Any]:
    """A line as the worker's own formatter writes it."""
    record = logging.LogRecord(name, level, __file__, 1, message, None, None)
    line: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return line


def test_lines_are_counted_as_the_worker_writes_them(stacks: Stacks) -> None:
    source = (Path(__file__).parent.parent.parent / "consumer" / "supervisor.py").read_text()
    assert "giving up" in re.sub(r'"\s*\n\s*"', "", source)
    gives_up = logged("tillwatch.supervisor", logging.ERROR, "the last time; giving up. Why")
    critical = logged("tillwatch.child", logging.CRITICAL, "ending: the shard goes on")
    usual = logged("tillwatch.child", logging.INFO, "committed")
    found = filters(stacks)
    assert found.keys() == {"tillwatch-gives-up", "tillwatch-critical"}
    for name, taken in (("tillwatch-gives-up", gives_up), ("tillwatch-critical", critical)):
        others = [line for line in (gives_up, critical, usual) if line is not taken]
        assert counted(found[name], taken)
        assert not [line for line in others if counted(found[name], line)]
    looked_at = {
        f"tillwatch-{figure.name}"
        for alarm in ALARMS.values()
        for figure in alarm.figures.values()
        if figure.namespace == LOG_NAMESPACE
    }
    assert looked_at == found.keys()
