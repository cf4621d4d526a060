"""Progress goes to stderr: bars on a terminal, sparse lines elsewhere, nothing with -q."""

import io
import sys
import time

import pytest

from fedtiny.cli import bars
from fedtiny.cli.boundary import Settings
from fedtiny.progress import SILENT

pytestmark = pytest.mark.quick


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_are_sparse(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock))
    with bars.make_progress(Settings()) as progress, progress.task("train", 9) as task:
        for index in range(9):
            task.advance(note=f"round {index + 1}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train"
    assert lines[1:] == [
        "train: 3/9 round 3, 24 s left",
        "train: 6/9 round 6, 12 s left",
        "train: 9/9 round 9",
    ]


def test_the_time_left_counts_what_was_done_now(monkeypatch, capsys):
    clock = iter(range(0, 100_000, 60))
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock))
    with bars.make_progress(Settings()) as progress, progress.task("train", 300) as task:
        task.start_at(100)
        for _ in range(2):
            task.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["train", "train: 101/300, 3 h 19 min left", "train: 102/300, 3 h 18 min left"]


def test_verbose_says_how_long_a_task_took(capsys):
    with bars.make_progress(Settings(verbose=True)) as progress, progress.task("compile"):
        pass
    assert capsys.readouterr().err.splitlines()[1].startswith("compile: 0.")


def test_a_terminal_gets_a_bar_that_is_cleared(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with bars.make_progress(Settings()) as progress:
        with progress.task("train [a]", 2) as task:
            task.advance(note="acc [b] 0.5")
            task.advance()
            time.sleep(0.3)  # the bar is redrawn ten times a second
        progress.log("kept [c]")
    shown = screen.getvalue()
    assert "train [a]" in shown
    assert "acc [b] 0.5" in shown
    assert "kept [c]" in shown
    assert "2/2" in shown


def test_quiet_is_silent(capsys):
    with bars.make_progress(Settings(quiet=True)) as progress:
        assert progress is SILENT
    assert capsys.readouterr().err == ""
