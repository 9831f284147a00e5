"""`pytest --forks N`: tests run in N forks of the process that has collected them.

Each process of pytest-xdist starts cold, collects all tests, and exchanges six messages for each
test that it runs. With thousands of short tests, that was a quarter of the processor time.
Warnings that are not errors are not reported.
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterator
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
    # A pipe gives each number to one reader, and has room for 16,000 of them.
    queue, given = os.pipe()
    os.write(given, b"".join(number.to_bytes(NUMBER_SIZE) for number in range(len(groups))))
    os.close(given)
    forks = dict(_fork(session, groups, queue) for _ in range(option.forks))
    unreported = {item.nodeid: item for item in session.items}
    report = partial(session.config.hook.pytest_report_from_serializable, config=session.config)
    try:
        for reports in _received(set(forks)):
            item = unreported.pop(reports[0]["nodeid"])
            _log(item, [report(data=data) for data in reports])
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    finally:
        while os.read(queue, 65_536):  # nothing is left to do then
            pass
        os.close(queue)
        for connection, fork in forks.items():
            connection.close()
            fork.join()
    lost = f"No report. The exit codes of the forks: {[fork.exitcode for fork in forks.values()]}"
    for item in unreported.values():
        _log(item, [pytest.TestReport(item.nodeid, item.location, {}, "failed", lost, "call")])
    return True


def _groups(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    """Those that one process runs, the longest first."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        shared = re.search("|".join(GROUPS), item.nodeid)
        groups.setdefault(shared[0] if shared else item.nodeid, []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def _fork(
    session: pytest.Session, groups: list[list[pytest.Item]], queue: int
) -> tuple[Connection, BaseProcess]:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    fork = context.Process(target=_run, args=(session, groups, queue, theirs))
    fork.start()
    theirs.close()
    return ours, fork


def _received(connections: set[Connection]) -> Iterator[Reports]:
    """What comes, until all of them have ended."""
    while connections:
        for connection in connections.intersection(wait(connections)):
            try:
                reports: Reports = connection.recv()
            except EOFError:
                connections.remove(connection)
            else:
                yield reports


def _log(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


class _Sender:
    """A plugin of forks: what tests report goes to the process that has collected them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        serialized = partial(item.ihook.pytest_report_to_serializable, config=item.config)
        reports = runner.runtestprotocol(item, log=False, nextitem=nextitem)
        self._connection.send([serialized(report=report) for report in reports])
        return True


def _run(
    session: pytest.Session, groups: list[list[pytest.Item]], queue: int, connection: Connection
) -> None:
    """Run tests in this fork, until none is left. The next one says which fixtures stay."""
    plugins = session.config.pluginmanager
    plugins.register(_Sender(connection))
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
