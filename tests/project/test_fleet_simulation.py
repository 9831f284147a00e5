"""The simulation of a fleet at the expiry of a token."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from benchmarks import fleet, simulation
from benchmarks.fleet import ALONE, FLEET, HOSTS, PEERS, WAYS, Way, simulate
from benchmarks.simulation import BUDGET, Tally
from mediahound_auth._core.lifecycle import State
from mediahound_auth.token import Token

pytestmark = [pytest.mark.once, pytest.mark.documentation]

WORKERS = 320
STORES = {ALONE: 320, HOSTS: 10, FLEET: 1}
SEEDS = (1, 2, 3)
# Seconds from the expiry: early renewals are over by then, and nobody has begun to ask again.
BETWEEN = -60

each_seed = pytest.mark.parametrize("seed", SEEDS)
each_way_of_ours = pytest.mark.parametrize("way", STORES, ids=lambda way: way.name)


@lru_cache
def simulated(way: Way, seed: int) -> Tally:
    return simulate(way, WORKERS, seed)


@each_seed
@each_way_of_ours
def test_each_store_makes_one_early_request(way: Way, seed: int) -> None:
    assert simulated(way, seed).requested(until=BETWEEN) == STORES[way]


@each_seed
def test_at_the_expiry_a_fleet_with_one_store_makes_one_request_and_one_for_rounded_seconds(
    seed: int,
) -> None:
    at_expiry = simulated(FLEET, seed).requested(since=BETWEEN)
    in_the_last_second = simulated(FLEET, seed).requested(since=BETWEEN, until=0)
    assert in_the_last_second <= 1
    assert at_expiry == in_the_last_second + 1


@each_seed
@each_way_of_ours
def test_rounded_seconds_cost_each_store_one_request_at_most(way: Way, seed: int) -> None:
    stores = STORES[way]
    assert stores <= simulated(way, seed).requested(since=BETWEEN) <= 2 * stores


@each_seed
def test_early_renewal_requests_a_token_at_every_call_of_the_last_half_minute(seed: int) -> None:
    tally = simulated(PEERS, seed)
    expected = WORKERS * simulation.EARLY / (simulation.PAUSE + simulation.ROUND_TRIP)
    assert tally.requested(until=-simulation.EARLY - 2) == 0
    assert tally.requested(until=0) == pytest.approx(expected, rel=0.1)
    assert tally.requested(since=0) == pytest.approx(WORKERS, rel=0.1)


@each_seed
def test_the_more_share_a_store_the_fewer_the_requests_in_all_and_in_a_second(seed: int) -> None:
    tallies = [simulated(way, seed) for way in (PEERS, ALONE, HOSTS, FLEET)]
    in_all = [tally.requested() for tally in tallies]
    in_a_second = [max(tally.requests.values()) for tally in tallies]
    assert in_all == sorted(in_all, reverse=True)
    assert in_a_second == sorted(in_a_second, reverse=True)


@each_seed
@each_way_of_ours
def test_no_call_fails(way: Way, seed: int) -> None:
    tally = simulated(way, seed)
    assert tally.calls > WORKERS * 60
    assert tally.failed == 0


def test_calls_that_renew_early_fail_when_their_token_expires_on_the_way() -> None:
    assert sum(simulated(PEERS, seed).failed for seed in SEEDS) > 0


def test_calls_with_an_expired_token_are_retried() -> None:
    # Without retries, these would be the failed ones.
    assert sum(simulated(FLEET, seed).repaired for seed in SEEDS) > 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_the_same_seed_gives_the_same_tally_and_another_seed_another(way: Way) -> None:
    assert simulate(way, 64, seed=1) == simulate(way, 64, seed=1)
    assert simulate(way, 64, seed=1) != simulate(way, 64, seed=2)


@each_way_of_ours
def test_the_rules_are_those_of_lifecycle(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not notice that a token has come back asks for it again and again."""

    def unnoticed(_: State, token: Token) -> Token:
        return token

    monkeypatch.setattr(State, "with_returned_again", unnoticed)
    assert simulate(way, WORKERS).requested(until=-2) > 2 * STORES[way]


def test_an_overloaded_endpoint_fails_calls_in_time_unless_a_store_is_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulation, "SERVICE", 0.5)
    alone, together = simulate(ALONE, WORKERS), simulate(FLEET, WORKERS)
    assert alone.failed > 0
    assert alone.longest_wait == pytest.approx(BUDGET)
    assert together.failed == 0
    assert together.longest_wait < BUDGET


def test_the_command_prints_what_each_way_costs(capsys: pytest.CaptureFixture[str]) -> None:
    fleet.main(["--workers", "40", "--seed", "3"])
    lines = capsys.readouterr().out.splitlines()
    for way in WAYS:
        requested = simulate(way, 40, seed=3).requested()
        assert any(line.startswith(f"{way.name}  ") and f" {requested} " in line for line in lines)


def test_the_command_draws_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "fleet.png"
    fleet.main(["--workers", "40", "--plot", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")
