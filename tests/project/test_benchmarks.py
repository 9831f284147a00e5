"""Every benchmark in its smallest form, for mediahound-auth alone: what it counts, and no times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import calls, herds, imports, memory, responses, streaks, waiting
from benchmarks.contenders import OURS, STATIC, ours
from benchmarks.scale import SMALLEST
from benchmarks.sessions import in_words
from benchmarks.table import KINDS, Column, Row, Table, at_most, summary

pytestmark = [pytest.mark.once, pytest.mark.documentation]

REQUESTS, HTTPX, HTTPX_ASYNC = ours()


def test_many_callers_cost_one_token_request_on_a_cold_start() -> None:
    table = herds.cold(ours(), SMALLEST)

    assert [row.kind for row in table.rows] == list(KINDS)
    assert [row.values[0] for row in table.rows] == [1, 1, 1]
    assert [row.values[2] for row in table.rows] == ["all 200"] * 3


def test_many_callers_cost_one_token_request_at_the_expiry() -> None:
    table = herds.at_expiry([HTTPX_ASYNC], SMALLEST)

    assert table.rows == [Row(OURS, "httpx async", (1, "all 200"))]


def test_many_callers_cost_one_token_request_at_a_revocation() -> None:
    table = herds.at_revocation(ours(), SMALLEST)

    assert table.rows == [Row(OURS, kind, (1, "all 200")) for kind in KINDS]


def test_many_callers_cost_no_more_than_one_caller_while_the_endpoint_is_down() -> None:
    (row,) = herds.endpoint_down([REQUESTS], SMALLEST).rows
    lone, together, _, outcome = row.values

    # At once, and 0.1 s, 0.3 s, 0.7 s and 1.5 s after that, or later, in a budget of 2 s.
    assert lone in (1, 2, 3, 4, 5)
    assert together in (1, 2, 3, 4, 5)
    assert outcome == "all raise TokenEndpointUnavailable"


def test_calls_in_the_last_seconds_of_a_token_do_not_request_it_each_time() -> None:
    (row,) = streaks.last_seconds([REQUESTS], SMALLEST).rows
    token_requests, outcome = row.values

    assert isinstance(token_requests, int)
    assert token_requests < SMALLEST.calls / 2
    assert outcome == "all 200"


@pytest.mark.parametrize(
    ("streak", "outcome"),
    [
        pytest.param(streaks.always_401, "all 401", id="API rejects every token"),
        pytest.param(streaks.wrong_secret, "all raise InvalidClientError", id="wrong secret"),
    ],
)
def test_rejected_calls_in_a_row_cost_few_token_requests(
    streak: Callable[..., Table], outcome: str
) -> None:
    table = streak(ours(), SMALLEST)

    assert [row.kind for row in table.rows] == list(KINDS)
    for row in table.rows:
        assert row.values[0] in (1, 2, 3, 4)
        assert row.values[1] == outcome


def test_a_token_is_renewed_while_calls_go_on_and_none_fails() -> None:
    (row,) = waiting.under_load([REQUESTS], SMALLEST).rows
    token_requests, _, outcome = row.values

    assert token_requests in (1, 2)
    assert outcome == "all 200"


def test_calls_during_renewals_are_compared_with_a_static_header() -> None:
    table = waiting.during_renewals(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == [(OURS, kind) for kind in KINDS]
    assert [column.limit for column in table.columns[:2]] == [at_most(1.5), at_most(1.5)]
    assert_positive(table, 0, 1)
    assert [row.values[3] for row in table.rows] == ["all 200"] * 3


def test_the_event_loop_is_watched_where_there_is_one() -> None:
    table = waiting.event_loop(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == [
        (STATIC, "httpx async"),
        (OURS, "httpx async"),
    ]
    assert_positive(table, 0)


def test_attaching_a_token_is_compared_with_a_static_header() -> None:
    table = calls.attaching(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == BESIDE_STATIC
    assert [row.values[0] for row in table.rows[:3]] == [1, 1, 1]
    assert_positive(table, 0)


def test_whole_calls_are_compared_with_a_static_header() -> None:
    table = calls.throughput(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == BESIDE_STATIC
    assert [row.values[0] for row in table.rows[:3]] == [1, 1, 1]
    assert_positive(table, 0)


def test_imports_are_timed_in_interpreters_that_have_the_package_from_a_copy() -> None:
    table = imports.import_time([REQUESTS], SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == [(OURS, "requests")]
    assert_positive(table, 0, 1)


def test_the_memory_of_auth_objects_is_measured() -> None:
    table = memory.per_object(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == [(OURS, kind) for kind in KINDS]
    assert_positive(table, 0)


def test_token_responses_are_timed_by_their_size() -> None:
    table = responses.processing(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == [(OURS, kind) for kind in KINDS]
    assert_positive(table, 0, 1, 2)


def test_the_memory_that_renewals_leave_is_measured() -> None:
    table = responses.renewals(ours(), SMALLEST)

    assert [(row.name, row.kind) for row in table.rows] == [(OURS, kind) for kind in KINDS]
    assert all(isinstance(row.values[0], float) for row in table.rows)


def test_a_401_without_end_is_followed_by_a_retry() -> None:
    table = responses.hostile_401(ours(), SMALLEST)

    assert [(row.kind, row.values[2]) for row in table.rows] == [(kind, "200") for kind in KINDS]


TABLE = Table(
    "Case",
    "How it is measured.",
    (Column("requests", reach="1", limit=at_most(1)), Column("time", "{:.1f} ×"), Column("calls")),
    [
        Row(OURS, "requests", (1, 1.04, "all 200")),
        Row(OURS, "httpx", (2, 1.0, "all 200")),
        Row("peer 1.0", "requests", (64, 3.0, "all 401")),
        Row("peer 2.0", "httpx", ("caller fetches", None, None)),
    ],
)


def test_a_table_reads_well_in_a_terminal() -> None:
    assert TABLE.text().splitlines() == [
        "Case",
        "How it is measured.",
        "",
        "                                  requests   time    calls",
        "--------------------------  --------------  -----  -------",
        "to reach                                 1",
        "mediahound-auth (requests)               1  1.0 ×  all 200",
        "mediahound-auth (httpx)                  2  1.0 ×  all 200",
        "peer 1.0 (requests)                     64  3.0 ×  all 401",
        "peer 2.0 (httpx)            caller fetches      –        –",
    ]


def test_a_table_in_markdown_has_a_head_and_a_rule() -> None:
    assert TABLE.markdown().splitlines()[4:8] == [
        "|  | requests | time | calls |",
        "| --- | ---: | ---: | ---: |",
        "| to reach | 1 |  |  |",
        "| mediahound-auth (requests) | 1 | 1.0 × | all 200 |",
    ]


@pytest.mark.parametrize(
    ("limit", "verdict"), [(2, "yes"), (1, "no")], ids=["all within", "one beyond"]
)
def test_the_summary_says_whether_every_kind_is_within_the_limit(limit: int, verdict: str) -> None:
    column = Column("requests", reach=str(limit), limit=at_most(limit))
    table = TABLE._replace(columns=(column, *TABLE.columns[1:]))

    assert summary([table], OURS, STATIC).rows == [
        Row("Case: requests", "", (str(limit), "1", "2", "–", "64, caller fetches", verdict))
    ]


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (["200", "200"], "all 200"),
        (["401", "200", "200"], "2 × 200, 1 × 401"),
        (["raise ReadError"] * 2, "all raise ReadError"),
    ],
    ids=["all alike", "mixed", "raised"],
)
def test_outcomes_of_benchmarks_are_summarised_in_words(outcomes: list[str], words: str) -> None:
    assert in_words(outcomes) == words


def test_the_command_prints_the_cases_that_are_named_and_leaves_old_results_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "FOLDER", tmp_path)

    command.main(["--quick", "--alone", "rejected"])

    printed = capsys.readouterr().out
    assert "API that rejects every token" in printed
    assert "mediahound-auth (httpx async)" in printed
    assert "In short" in printed
    assert list(tmp_path.iterdir()) == []


def test_the_command_rejects_a_case_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["nonsense"])

    assert "no such case: nonsense" in capsys.readouterr().err


def test_results_are_written_as_json_and_as_markdown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "FOLDER", tmp_path)

    command.write(summary([TABLE], OURS, STATIC), [TABLE])

    data = json.loads((tmp_path / "results.json").read_text())
    assert data["cases"][0]["rows"][0] == {
        "name": OURS,
        "kind": "requests",
        "values": [1, 1.04, "all 200"],
    }
    assert TABLE.markdown() in (tmp_path / "results.md").read_text()


BESIDE_STATIC = [(name, kind) for name in (STATIC, OURS) for kind in KINDS]


def assert_positive(table: Table, *columns: int) -> None:
    for row in table.rows:
        for column in columns:
            value = row.values[column]
            assert isinstance(value, float | int)
            assert value > 0
