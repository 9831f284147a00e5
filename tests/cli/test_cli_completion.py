"""Completion of `mediahound-auth` by bash, zsh and fish."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Shell, Terminal

from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def shell(server: MediaHoundServer, tmp_path: Path) -> Shell:
    return Shell(tmp_path, {**server.environment, "INPUTRC": "/dev/null", "PS1": "$ "})


# The program looks for the shell that it was started from; "; true" keeps bash in between.


def test_bash_completes_at_tab_once_it_is_installed(shell: Shell) -> None:
    done = shell.run("bash", "-c", "mediahound-auth --install-completion; true")
    assert "bash completion installed" in done.out
    terminal = Terminal(shell, "bash", "-i")
    terminal.type("mediahound-auth fo\t")
    terminal.see("mediahound-auth forget ")
    terminal.type("--client-s\t")
    terminal.see("forget --client-secret-file ")
    terminal.type("\x15mediahound-auth token --client-auth client_secret_p\t")
    terminal.see("--client-auth client_secret_post ")
    terminal.type("\x15exit\n")
    assert terminal.end().code == 0


@pytest.mark.programs
def test_zsh_completes_at_tab_once_it_is_installed(shell: Shell) -> None:
    done = shell.run("zsh", "-c", "mediahound-auth --install-completion; true")
    assert "zsh completion installed" in done.out
    terminal = Terminal(shell, "zsh", "-i")
    terminal.see("$ ")
    terminal.type("mediahound-auth fo\t")
    terminal.see("\a")  # by the first Tab of a shell, typer's script is loaded and no more
    terminal.type("\t")
    terminal.see("rget ")
    terminal.type("--client-s\t")
    terminal.see("--client-secret-file ")
    terminal.type("\x15exit\n")
    assert terminal.end().code == 0


@pytest.mark.programs
def test_fish_completes_once_it_is_installed(shell: Shell) -> None:
    done = shell.run("fish", "-c", "mediahound-auth --install-completion; true")
    assert "fish completion installed" in done.out

    def completed(line: str) -> list[str]:
        shown = shell.run("fish", "-c", f"complete -C '{line}'").out
        return [choice.partition("\t")[0] for choice in shown.splitlines()]

    assert completed("mediahound-auth fo") == ["forget"]
    assert completed("mediahound-auth forget --client-s") == ["--client-secret-file"]
    assert completed("mediahound-auth token --client-auth client_secret_p") == [
        "client_secret_post"
    ]


def test_bash_completes_with_what_is_shown(shell: Shell) -> None:
    script = shell.run("bash", "-c", "mediahound-auth --show-completion; true").out

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        code = f"""{script}
            COMP_WORDS=(mediahound-auth {line}) COMP_CWORD={len(words)}
            _mediahound_auth_completion mediahound-auth
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        return set(shell.run("bash", "-c", code).out.split())

    assert {"token", "check", "forget", "serve", "demo"} <= completed("")
    assert completed("token", "--client-s") == {"--client-secret-file"}
