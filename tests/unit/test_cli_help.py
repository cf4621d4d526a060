"""Help is quick because nothing heavy is imported for it."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from fedtiny.cli.app import export, fedtiny

pytestmark = pytest.mark.quick

HEAVY = ("torch", "numpy", "scipy", "rich", "onnx", "jinja2", "unicorn", "ai_edge_litert")
ENTRY = "import sys; from fedtiny.cli import {entry}; sys.argv = {argv!r}; {entry}()"


def spent():
    """CPU seconds of finished child processes: steady on a busy machine, as wall time is not."""
    used = os.times()
    return used.children_user + used.children_system


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("main", ["--help"]),
        ("main", ["export", "--help"]),
        ("main", ["train", "--help"]),
        ("main", ["--version"]),
        ("main", ["exprot"]),
        ("export_main", ["--help"]),
    ],
)
def test_help_imports_nothing_heavy_and_answers_at_once(entry, words):
    code = ENTRY.format(entry=entry, argv=["fedtiny", *words])
    watch = (
        "import atexit, sys; atexit.register(lambda: print('IMPORTED', *sorted("
        f"set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)); "
    )
    times = []
    for _ in range(3):
        start = spent()
        result = subprocess.run(
            [sys.executable, "-c", watch + code], capture_output=True, text=True, timeout=60
        )
        times.append(spent() - start)
    assert result.stderr.splitlines()[-1].strip() == "IMPORTED"
    assert min(times) < 0.5
    assert result.returncode == (2 if words == ["exprot"] else 0)


def test_every_command_has_help_and_is_listed():
    runner = CliRunner()
    listing = runner.invoke(fedtiny, ["--help"]).stdout
    for name, command in fedtiny.commands.items():
        assert name in listing
        result = runner.invoke(fedtiny, [name, "--help"])
        assert result.exit_code == 0
        assert command.help.splitlines()[0][:20] in result.stdout
        for option in ("--json", "--quiet", "--verbose"):
            assert option in result.stdout
    assert set(fedtiny.commands) == {
        "train", "plan", "export", "verify", "bench", "report", "devices", "data", "demo",
    }  # fmt: skip


def test_fedtiny_export_is_the_same_command():
    assert fedtiny.commands["export"] is export
