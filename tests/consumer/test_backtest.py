"""`tillwatch backtest`: the same pipeline over a file."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consumer.cli import main
from consumer.settings import Settings
from events.page import EVIDENCE_MAX
from tests.consumer.world import as_records, day_of_trade, wire

DATA = day_of_trade(300)
REFUNDS = {
    json.loads(line)["transaction_id"]
    for line in DATA
    if line.endswith(b"}") and json.loads(line)["type"] == "REFUND"
}
DISTINCT = {line for line in DATA if line.endswith(b"}")}
BROKEN = [line for line in DATA if b"broken" in line]


def write(folder: Path, lines: list[bytes], name: str = "input.jsonl") -> Path:
    file = folder / name
    body = b"".join(line + b"\n" for line in lines)
    file.write_bytes(gzip.compress(body, mtime=0) if name.endswith(".gz") else body)
    return file


def backtest(folder: Path, file: Path, *more: str) -> Result:
    arguments = ["--input", str(file), "--pages", str(folder / "pages.jsonl")]
    scores = ["--scores", str(folder / "scores.jsonl")]
    return CliRunner().invoke(main, ["backtest", *arguments, *scores, *more])


def summary(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.mark.parametrize("name", ["input.jsonl", "input.jsonl.gz"])
def test_the_summary_counts_what_is_in_the_file(tmp_path: Path, name: str) -> None:
    found = summary(backtest(tmp_path, write(tmp_path, DATA, name)))
    pages = read(tmp_path / "pages.jsonl")
    assert found == {
        "records": len(DATA),
        "transactions": len(DISTINCT),
        "refunds": len(REFUNDS),
        "rejections": len(BROKEN),
        "repeated": len(DATA) - len(DISTINCT) - len(BROKEN),
        "pages": len(pages),
    }
    assert found["pages"] > 0
    assert found["records"] == found["transactions"] + found["rejections"] + found["repeated"]


def test_every_refund_has_a_line_of_scores(tmp_path: Path) -> None:
    summary(backtest(tmp_path, write(tmp_path, DATA)))
    scores = read(tmp_path / "scores.jsonl")
    assert {line["transaction_id"] for line in scores} == REFUNDS
    assert len(scores) == len(REFUNDS)
    positions = {record.position.sequence_number: record.data for record in as_records(DATA)}
    for line in scores:
        assert 0.0 <= line["score"]["value"] <= 1.0
        assert line["transaction_id"].encode() in positions[line["position"]["sequence_number"]]
        assert line["shop_id"].startswith("shop-")


def test_every_page_has_one_line_as_it_stood_last(tmp_path: Path) -> None:
    summary(backtest(tmp_path, write(tmp_path, DATA)))
    pages = read(tmp_path / "pages.jsonl")
    assert len({page["page_id"] for page in pages}) == len(pages)
    for page in pages:
        assert page["status"] in {"open", "updated", "closed"}
        assert 0 < len(page["evidence"]) <= EVIDENCE_MAX
        assert set(page["evidence"]) <= REFUNDS
        assert page["after_transaction_id"] in REFUNDS
        assert page["currency"] == "GBP"
        assert float(page["refunded_total"]) > 0


def test_run_again_or_packed_it_writes_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for number, name in enumerate(["input.jsonl", "input.jsonl", "input.jsonl.gz"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = summary(backtest(folder, write(folder, DATA, name)))
        files = [(folder / name).read_bytes() for name in ("pages.jsonl", "scores.jsonl")]
        outputs.append((found, *files))
    assert outputs[0] == outputs[1] == outputs[2]
    assert all(outputs[0])


def test_scores_are_written_only_where_they_are_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, DATA)
    arguments = ["backtest", "--input", str(file), "--pages", str(tmp_path / "pages.jsonl")]
    summary(CliRunner().invoke(main, arguments))
    assert not (tmp_path / "scores.jsonl").exists()


def test_lines_that_are_no_transactions_are_counted_and_harm_no_other(tmp_path: Path) -> None:
    bad = [b"", b"null", b"\xff\xfe", b"[1, 2]", b'{"schema": 1}', wire(2, total="-1")]
    lines = [wire(0), *bad, wire(1)]
    found = summary(backtest(tmp_path, write(tmp_path, lines)))
    assert (found["records"], found["rejections"], found["transactions"]) == (8, len(bad), 2)


def test_lines_may_end_as_windows_ends_them_and_the_last_with_nothing(tmp_path: Path) -> None:
    file = tmp_path / "input.jsonl"
    file.write_bytes(wire(0) + b"\r\n" + wire(0) + b"\n" + wire(1))
    found = summary(backtest(tmp_path, file))
    assert (found["records"], found["transactions"], found["repeated"]) == (3, 2, 1)


def test_an_empty_file_gives_empty_answers(tmp_path: Path) -> None:
    found = summary(backtest(tmp_path, write(tmp_path, [])))
    assert set(found.values()) == {0}
    assert (tmp_path / "pages.jsonl").read_bytes() == b""


def test_a_budget_of_pages_is_heard(tmp_path: Path) -> None:
    file = write(tmp_path, DATA)
    summary(backtest(tmp_path, file))
    usual = read(tmp_path / "pages.jsonl")
    summary(backtest(tmp_path, file, "--pages-per-shop-week", "5"))
    generous = read(tmp_path / "pages.jsonl")
    assert {page["model_version"] for page in usual} != {page["model_version"] for page in generous}


def test_it_runs_with_what_a_worker_runs_with(tmp_path: Path) -> None:
    default = Settings.model_fields["pages_per_shop_week"].default
    summary(backtest(tmp_path, write(tmp_path, DATA)))
    implied = (tmp_path / "pages.jsonl").read_bytes()
    summary(backtest(tmp_path, write(tmp_path, DATA), "--pages-per-shop-week", str(default)))
    assert (tmp_path / "pages.jsonl").read_bytes() == implied


@pytest.mark.parametrize("spoil", [lambda data: data[:-20], lambda _: b"not packed at all"])
def test_a_spoilt_gz_is_named(tmp_path: Path, spoil: Any) -> None:
    file = write(tmp_path, DATA, "input.jsonl.gz")
    file.write_bytes(spoil(file.read_bytes()))
    result = backtest(tmp_path, file)
    assert result.exit_code == 1
    assert str(file) in result.stderr
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there_is_an_error_of_usage(tmp_path: Path) -> None:
    result = backtest(tmp_path, tmp_path / "nothing.jsonl")
    assert result.exit_code == 2
    assert "nothing.jsonl" in result.stderr


def test_a_report_is_written_in_the_form_that_its_name_asks_for(tmp_path: Path) -> None:
    file = write(tmp_path, DATA)
    found = summary(backtest(tmp_path, file, "--report", str(tmp_path / "report.html")))
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    summary(backtest(tmp_path, file, "--report", str(tmp_path / "report.md")))
    text = (tmp_path / "report.md").read_text()
    assert f"{found['pages']} pages" in text
    assert "| reason | pages |" in text


def test_each_reason_has_a_line_for_whoever_waits(tmp_path: Path) -> None:
    result = backtest(tmp_path, write(tmp_path, DATA))
    reasons = {page["reason"] for page in read(tmp_path / "pages.jsonl")}
    assert reasons
    for reason in reasons:
        assert f"| {reason} | " in result.stderr


def test_a_shadow_scores_beside_and_changes_nothing_of_the_run(tmp_path: Path) -> None:
    file = write(tmp_path, DATA)
    summary(backtest(tmp_path, file))
    alone = (tmp_path / "pages.jsonl").read_bytes(), (tmp_path / "scores.jsonl").read_bytes()
    config = tmp_path / "candidate.json"
    config.write_text("{}")
    result = backtest(tmp_path, file, "--shadow", str(config))
    count = summary(result)["pages"]
    assert f"keeps {count} pages, gains 0 (nothing), loses 0 (nothing)" in result.stderr
    beside = (tmp_path / "pages.jsonl").read_bytes(), (tmp_path / "scores.jsonl").read_bytes()
    assert beside == alone


def test_a_candidate_sees_the_stream_as_if_it_were_alone(tmp_path: Path) -> None:
    file = write(tmp_path, DATA)
    budget = ["--pages-per-shop-week", "5"]
    summary(backtest(tmp_path, file, *budget))
    alone = len(read(tmp_path / "pages.jsonl"))
    config = tmp_path / "candidate.json"
    config.write_text('{"pages_per_shop_week": 5}')
    result = backtest(tmp_path, file, "--shadow", str(config))
    kept, gained = (
        int(part.split()[1]) for part in result.stderr.split("candidate ")[-1].split(",")[:2]
    )
    assert kept + gained == alone


def test_a_run_is_held_against_another_ones_pages(tmp_path: Path) -> None:
    file = write(tmp_path, DATA)
    count = summary(backtest(tmp_path, file))["pages"]
    other = tmp_path / "other.jsonl"
    other.write_bytes((tmp_path / "pages.jsonl").read_bytes())
    result = backtest(tmp_path, file, "--against", str(other))
    assert f"keeps {count} pages, gains 0" in result.stderr
    other.write_bytes(b"")
    assert f"gains {count} (" in backtest(tmp_path, file, "--against", str(other)).stderr
