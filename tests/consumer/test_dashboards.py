"""`tillwatch dashboards`: a file, and an import into something that keeps Dashboards' rules."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consumer.dashboards import dashboards
from sinks.dashboards.export import export, objects
from tests.sinks.dashboards_double import DashboardsDouble

PASSWORD = "p"
ALL = len(objects())


@pytest.fixture
def there() -> Iterator[DashboardsDouble]:
    with DashboardsDouble("u", PASSWORD).running() as double:
        yield double


def run(
    *arguments: str, url: str | None = None, password: str = PASSWORD, **more: str | None
) -> Result:
    settings = {
        "TILLWATCH_DASHBOARDS_URL": url,
        "TILLWATCH_OPENSEARCH_USER": "u",
        "TILLWATCH_OPENSEARCH_PASSWORD": password,
        "TILLWATCH_OPENSEARCH_SIGNING": None,
        "TILLWATCH_OPENSEARCH_CA_BUNDLE": None,
    }
    return CliRunner().invoke(dashboards, arguments, env=settings | more)


def test_export_writes_the_file(tmp_path: Path) -> None:
    shown = run("export")
    assert shown.stdout_bytes == export()
    file = tmp_path / "tillwatch.ndjson"
    assert run("export", "--output", str(file)).exit_code == 0
    assert file.read_bytes() == export()
    assert json.loads(file.read_text().splitlines()[-1])["exportedCount"] == ALL
    nowhere = run("export", "--output", str(tmp_path / "none" / "x.ndjson"))
    assert nowhere.exit_code == 1
    assert "cannot be written: No such file" in nowhere.stderr


def test_a_dry_run_shows_and_sends_nothing(there: DashboardsDouble) -> None:
    shown = run("apply", "--dry-run", url=there.url)
    assert shown.exit_code == 0
    assert shown.stdout.count("\n") == ALL
    assert "+ dashboard tillwatch-live: Tillwatch: Live" in shown.stdout
    assert f"{ALL} of {ALL} saved objects would change" in shown.stderr
    assert (there.imports, there.saved) == (0, {})


def test_applied_twice_is_applied_once(there: DashboardsDouble) -> None:
    done = run("apply", url=there.url)
    assert done.exit_code == 0, done.output
    assert len(there.saved) == ALL
    again = run("apply", url=there.url)
    assert again.stdout == ""
    assert f"0 of {ALL} saved objects changed" in again.stderr
    assert there.imports == 1


def test_what_people_changed_is_shown_and_put_back(there: DashboardsDouble) -> None:
    assert run("apply", url=there.url).exit_code == 0
    key = ("dashboard", "tillwatch-live")
    before = dict(there.saved[key]["attributes"])
    there.saved[key]["attributes"]["timeFrom"] = "now-7d"
    pattern = there.saved["index-pattern", "tillwatch-transactions"]["attributes"]
    # That somebody looked at a field is no change.
    pattern["fields"] = pattern["fields"].replace('"count":0', '"count":7', 1)
    shown = run("apply", url=there.url)
    assert shown.stdout == "~ dashboard tillwatch-live: Tillwatch: Live\n"
    assert there.saved[key]["attributes"] == before


def test_objects_of_others_are_left_alone(there: DashboardsDouble) -> None:
    there.saved["dashboard", "of-others"] = {"attributes": {"title": "x"}, "references": []}
    assert run("apply", url=there.url).exit_code == 0
    assert ("dashboard", "of-others") in there.saved
    assert len(there.saved) == ALL + 1


def test_a_tenant_goes_in_its_header(there: DashboardsDouble) -> None:
    assert run("apply", url=f"{there.url}?security_tenant=global").exit_code == 0
    assert there.tenants == ["global", "global"]
    assert run("apply", url=there.url).exit_code == 0
    assert there.tenants[-1] is None


def test_refused_objects_are_named_with_the_reason(there: DashboardsDouble) -> None:
    there.types -= {"search"}
    failed = run("apply", url=there.url)
    assert failed.exit_code == 1
    searches = [found for found in objects() if found.type == "search"]
    assert f"refused {len(searches)} objects and took {ALL - len(searches)}:" in failed.stderr
    assert "search tillwatch-open-pages: unsupported_type" in failed.stderr


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((302, b"/app/login"), "asks for another log-in (302)"),
        ((403, b'{"message":"no"}'), "does not let this user write saved objects (403)"),
        ((404, b"no such page"), "is its path missing, such as /_dashboards?"),
        ((413, b'{"message":"too large"}'), "answered 413"),
        ((503, b"OpenSearch Dashboards server is not ready yet"), "answered 503"),
        ((200, b"<html>"), "is not OpenSearch Dashboards: no JSON came back"),
        ((200, b"[]"), "is not OpenSearch Dashboards: no JSON came back"),
    ],
)
def test_what_is_in_the_way_is_told(
    there: DashboardsDouble, answer: tuple[int, bytes], told: str
) -> None:
    there.answer = answer
    failed = run("apply", url=there.url)
    assert failed.exit_code == 1
    assert told in failed.stderr
    assert "Traceback" not in failed.output


def test_a_wrong_password_is_told_and_not_shown(there: DashboardsDouble) -> None:
    failed = run("apply", url=there.url, password="secret-and-wrong")
    assert failed.exit_code == 1
    assert "(401): user and password are OpenSearch's" in failed.stderr
    assert "secret-and-wrong" not in failed.output


def test_requests_are_signed_for_aws_where_opensearch_s_are() -> None:
    signing = {
        "TILLWATCH_OPENSEARCH_SIGNING": "es",
        "TILLWATCH_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
    }
    with DashboardsDouble().running() as there:
        done = run("apply", url=there.url, **signing)
        assert done.exit_code == 0, done.output
        assert len(there.saved) == ALL
        assert len(there.authorizations) == 2
        for found in there.authorizations:
            assert found is not None
            assert found.startswith("AWS4-HMAC-SHA256 Credential=made-up/")
            assert "/eu-west-1/es/aws4_request" in found


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "where is Dashboards?"),
        ("http://127.0.0.1:9", "at http://127.0.0.1:9 does not answer"),
        ("ftp://x", "must begin with http:// or https://"),
        ("http:///x", "must name a host"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("https://u:p@x", "must not hold a user name or password"),
    ],
)
def test_where_dashboards_is_not_is_told(url: str | None, told: str) -> None:
    failed = run("apply", url=url)
    assert failed.exit_code == 1
    assert told in failed.stderr
