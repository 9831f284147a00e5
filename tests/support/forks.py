"""`pytest --forks N`: tests run in N forks of the process that has collected them.

Each process of pytest-xdist starts cold, collects all tests, and exchanges six messages for each
test that it runs. With thousands of short tests, that was a quarter of the processor time.
Not reported are warnings that are not errors, and exceptions of destructors that run after the last
test of a process.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from _pytest import runner

# The parts of a test's name that tests have in common which share what is expensive to start: one
# process runs all of them.
GROUPS = [
    r"test_one_fleet\.py",
    r"test_one_machine\.py",
    r"test_oauth_servers\.py",
]
# Tests that take four seconds and more, and would hold up the end of a run if they began last.
LONG = [
    r"test_no_promise_is_broken_in_any_order_of_events",
    r"test_an_outage_costs_one_warning_and_no_call",
    r"test_the_workers_of_a_server_share_a_token",
    r"test_a_call_during_which_the_process_was_stopped_gets_its_token",
]
NUMBER_SIZE = 4  # bytes

# The reports of one test, as pytest serializes them.
Reports = list[dict[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forks", type=int, default=0, metavar="N", help="run tests in N processes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Report what forks send, which take groups of tests until none is left."""
    option = session.config.option
    if not option.forks or option.collectonly or session.testsfailed:
        return None  # as without this option
    if option.usepdb:
        raise pytest.UsageError(
            "--pdb needs the terminal, which --forks shares: leave one of them out"
        )
    session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all

    groups = _groups(session.items)
    unreported = {item.nodeid: item for item in session.items}
    forks: dict[Connection, BaseProcess] = {}
    report = partial(session.config.hook.pytest_report_from_serializable, config=session.config)
    with tempfile.TemporaryFile(buffering=0) as queue:
        # Forks share the position in it, so that each number is read once.
        queue.write(b"".join(number.to_bytes(NUMBER_SIZE) for number in range(len(groups))))
        queue.seek(0)
        try:
            for _ in range(option.forks):
                _fork(forks, partial(_run, session, groups, queue.fileno()))
            for reports in _received(set(forks)):
                item = unreported.pop(reports[0]["nodeid"])
                _log(item, [report(data=data) for data in reports])
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
        finally:
            queue.seek(0, os.SEEK_END)  # nothing is left to do
            for connection in forks:
                connection.close()
    codes = [fork.exitcode for fork in forks.values()]
    lost = f"It has not run, or its process has ended meanwhile. Exit codes so far: {codes}"
    for item in unreported.values():
        _log(item, [pytest.TestReport(item.nodeid, item.location, {}, "failed", lost, "call")])
    return True


def _groups(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    """Those that one process runs, the longest first."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        shared = re.search("|".join(GROUPS), item.nodeid)
        groups.setdefault(shared[0] if shared else item.nodeid, []).append(item)
    long = re.compile("|".join(LONG))
    return sorted(
        groups.values(), key=lambda g: (len(g), bool(long.search(g[0].nodeid))), reverse=True
    )


def _fork(forks: dict[Connection, BaseProcess], run: Callable[[Connection], None]) -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    inherited = [*forks, ours]

    def work() -> None:
        # Or a send would wait for ever, not fail, once the process that reads has closed its end.
        for connection in inherited:
            connection.close()
        run(theirs)

    forks[ours] = multiprocessing.get_context("fork").Process(target=work)
    forks[ours].start()
    theirs.close()


def _received(connections: set[Connection]) -> Iterator[Reports]:
    """What comes, until each has sent that it has nothing more, or has ended."""
    while connections:
        for connection in connections.intersection(wait(connections)):
            try:
                reports: Reports = connection.recv()
            except EOFError:
                reports = []
            if reports:
                yield reports
            else:
                connections.remove(connection)


def _log(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


class _Sender:
    """A plugin of forks: what a test reports goes to the process that has collected it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subtests: list[pytest.TestReport] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        serialized = partial(item.ihook.pytest_report_to_serializable, config=item.config)
        reports = runner.runtestprotocol(item, log=False, nextitem=nextitem)
        self._connection.send([serialized(report=report) for report in self._subtests + reports])
        self._subtests.clear()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._subtests.append(report)


def _run(
    session: pytest.Session, groups: list[list[pytest.Item]], queue: int, connection: Connection
) -> None:
    """Run tests in this fork, until none is left. The next one says which fixtures stay."""
    plugins = session.config.pluginmanager
    plugins.register(_Sender(connection))
    # What is reported is printed by the process that collects it.
    terminal: Any = plugins.unregister(name="terminalreporter")
    terminal.pytest_runtest_logreport = lambda: None
    plugins.register(terminal, "terminalreporter")
    # Forks would share the files that output is captured in.
    capture = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    numbers = iter(lambda: os.read(queue, NUMBER_SIZE), b"")
    items = chain.from_iterable(groups[int.from_bytes(number)] for number in numbers)
    item = next(items, None)
    try:
        while item:
            nextitem = next(items, None)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
            item = nextitem
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # nobody waits for what comes next
    finally:
        runner.pytest_sessionfinish(session)
        with suppress(BrokenPipeError):
            connection.send([])
