"""The call paths on the architecture page."""

from __future__ import annotations

import pytest

from docs import call_paths
from docs.architecture import layer_of
from docs.call_paths import Call

pytestmark = [pytest.mark.once, pytest.mark.documentation]

# Calls of functions of the package, at most: in the caller's thread, and for the renewal.
MOST_CALLS = {
    "No token at hand": (18, 70),
    "The API rejects the token (401)": (50, 71),
    "The token is due for renewal": (18, 152),  # with a store that gets a thread
}
# What the core calls to send a token request, since an adapter alone knows its HTTP library.
SENDER = "requests: MediaHoundAuth._send"

each = pytest.mark.parametrize("title", call_paths.CALLS)


@each
def test_a_call_passes_through_few_functions(title: str) -> None:
    trace = call_paths.traces()[title]
    calls = len(trace.caller), len(trace.renewal)
    assert all(n <= most for n, most in zip(calls, MOST_CALLS[title], strict=True)), calls


def is_upwards(call: Call) -> bool:
    """Whether another module has called it, of the same layer or a lower one."""
    if not call.entering:
        return False
    (above, caller), (below, called) = map(layer_of, call.stack[-2:])
    return caller != called and above >= below


@each
def test_data_flows_one_way(title: str) -> None:
    trace = call_paths.traces()[title]
    calls = [call for call in trace.caller if len(call.stack) > 1]
    # The module that a thread begins in calls the function that it was given, wherever it is.
    calls += [call for call in trace.renewal if len(call.stack) > 2]
    # What resumes a generator is not what called it.
    upwards = [call for call in calls if is_upwards(call) and not call.generator]
    shown = {f"{call.stack[-2]} -> {call.stack[-1]}: {call.function}" for call in upwards}
    assert {line for line in shown if not line.endswith(f"-> {SENDER}")} == set()


@each
def test_the_renewal_has_a_thread_of_its_own_and_sends_the_token_request(title: str) -> None:
    trace = call_paths.traces()[title]
    assert trace.caller[0].function == "MediaHoundAuth.__call__"
    assert SENDER in {f"{call.module}: {call.function}" for call in trace.renewal}
    assert SENDER not in {f"{call.module}: {call.function}" for call in trace.caller}


def test_the_page_shows_each_path_and_its_counts() -> None:
    page = call_paths.page()
    for title, trace in call_paths.traces().items():
        shown = page.partition(f"### {title}\n")[2].partition("###")[0]
        assert f"{len(trace.caller)} calls of functions" in shown
        assert "\nrequests: MediaHoundAuth.__call__" in shown


def test_a_generator_counts_once_and_a_comprehension_does_not() -> None:
    calls = call_paths.traces()["No token at hand"].renewal
    [adapter] = [call for call in calls if call.function == "bounded_adapter"]
    assert adapter.generator
    assert {call.function for call in calls if call.function.endswith(("comp>", "expr>"))} == set()
