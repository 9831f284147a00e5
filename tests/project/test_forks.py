"""`pytest --forks N`, which runs these tests themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

pytestmark = [pytest.mark.once, pytest.mark.tools]


@pytest.fixture(autouse=True)
def _only_this_plugin(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """Those of all packages that are installed here take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "forks")
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath / "tests/support"))


def test_all_outcomes_are_reported_as_without_forks(pytester: pytest.Pytester) -> None:
    torn_down = Path(pytester.mkdir("torn_down"))
    pytester.makepyfile(
        test_one_fleet=f"""
        import os, pathlib, pytest

        ran = []

        @pytest.fixture(scope="session")
        def shared():
            yield
            pathlib.Path({str(torn_down)!r}, str(os.getpid())).touch()

        @pytest.mark.parametrize("number", range(20))
        def test_those_that_share_something_run_in_one_process(number, shared):
            assert len(ran) == number
            ran.append(number)
        """,
        test_more="""
        import os, time, pytest

        @pytest.mark.parametrize("name", ["Alien", "Gladiator"])
        def test_that_fails(name):
            for _ in range(3):
                print("looking for", name)
                os.write(2, name.encode() + b" as well\\n")
                time.sleep(0.01)
            assert name == "Brazil"

        def test_with_subtests(subtests):
            with subtests.test("of subtests"):
                assert "subtests" == "reported"

        def test_whose_child_outlives_it():
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)

        def test_that_is_skipped():
            pytest.skip("for a reason")
        """,
    )
    result = pytester.runpytest_subprocess("--forks", "3", "-rs", timeout=15)
    result.assert_outcomes(passed=22, failed=3, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*AssertionError: assert 'Alien' == 'Brazil'"])
    its_own = ["*Captured stdout call*", *["looking for Alien"] * 3]
    its_own += ["*Captured stderr call*", *["Alien as well"] * 3, "*____*"]
    result.stdout.fnmatch_lines(its_own, consecutive=True)
    result.stdout.fnmatch_lines(["*assert 'subtests' == 'reported'"])
    result.stdout.fnmatch_lines(["SKIPPED*for a reason"])
    # By the process that has set it up.
    assert len(list(torn_down.iterdir())) == 1


def test_a_test_fails_whose_process_ends(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os

        def test_that_ends_its_process():
            os._exit(3)
        """
    )
    result = pytester.runpytest_subprocess("--forks", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["It has not run, or its process has ended meanwhile. *"])


def test_it_stops_at_the_first_failure_where_it_should(pytester: pytest.Pytester) -> None:
    """Also if a process has much to report that nobody reads any more."""
    pytester.makepyfile(
        test_one_fleet="""
        import pytest

        @pytest.mark.parametrize("number", range(300))
        def test_that_fails(number):
            print("x" * 10_000)
            assert number == 300
        """
    )
    result = pytester.runpytest_subprocess("--forks", "2", "-x", timeout=30)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_ctrl_c_ends_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, signal

        def test_that_is_interrupted():
            os.kill(os.getppid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        """
    )
    result = pytester.runpytest_subprocess("--forks", "1")
    assert result.ret == pytest.ExitCode.INTERRUPTED
