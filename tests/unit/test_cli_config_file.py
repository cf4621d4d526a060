"""`--config FILE.toml` fills in options; the command line wins; mistakes are named."""

import pytest
from click.testing import CliRunner

from fedtiny.cli import train as train_module
from fedtiny.cli.app import fedtiny

pytestmark = pytest.mark.quick


@pytest.fixture
def seen(monkeypatch):
    """The options that `train` would run with."""
    found = {}
    command = train_module.train
    monkeypatch.setattr(command, "callback", lambda **options: found.update(options))
    return found


def run(tmp_path, text, *words):
    (tmp_path / "run.toml").write_text(text)
    return CliRunner().invoke(fedtiny, ["train", "--config", str(tmp_path / "run.toml"), *words])


GOOD = """
data = "fashion-mnist-mini"
model = "resnet8"
density = 0.1
out = "run"
rounds = 20
local-epochs = 2
adjust_every = 5
lr = 1
device = ["nucleo-l4r5zi", "raspberry-pi-4"]
resume = true
"""


def test_a_file_gives_every_option(tmp_path, seen):
    result = run(tmp_path, GOOD)
    assert result.exit_code == 0, result.stderr
    assert seen["data"] == "fashion-mnist-mini"
    assert (seen["rounds"], seen["local_epochs"], seen["adjust_every"]) == (20, 2, 5)
    assert seen["lr"] == 1.0
    assert seen["devices"] == ("nucleo-l4r5zi", "raspberry-pi-4")
    assert seen["resume"] is True
    assert seen["seed"] is None
    assert str(seen["out"]) == "run"


def test_the_command_line_wins(tmp_path, seen):
    words = ["--rounds", "3", "--device", "x", "--density", "0.5"]
    assert run(tmp_path, GOOD, *words).exit_code == 0
    assert (seen["rounds"], seen["density"], seen["devices"]) == (3, 0.5, ("x",))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rouns = 3", "Did you mean 'rounds'"),
        ("rounds = 2.5", "accepted is a whole number"),
        ("rounds = true", "accepted is a whole number"),
        ("rounds = '3'", "accepted is a whole number"),
        ("alpha = true", "accepted is a number or a string"),
        ("alpha = 'even'", "even"),
        ("rounds = 0", "0 is not in the range"),
        ("density = 'low'", "accepted is a number"),
        ("resume = 1", "true or false"),
        ("device = 3", "list of strings"),
        ("data = 3", "accepted is a string"),
        ("json = true", "unknown option 'json'"),
        ("config = 'other.toml'", "unknown option 'config'"),
        ("[section]", "unknown option 'section'"),
        ("rounds = ", "not a TOML file"),
    ],
)
def test_a_mistake_is_named(tmp_path, seen, line, said):
    base = "" if line.split(" ")[0] in ("data", "density") else 'data = "d"\n'
    words = ["--model", "m", "--out", "o"]
    words += [] if line.startswith("density") else ["--density", "0.1"]
    result = run(tmp_path, base + line + "\n", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert seen == {}


def test_a_missing_file_is_named(seen):
    result = CliRunner().invoke(fedtiny, ["train", "--config", "/nowhere/run.toml"])
    assert result.exit_code == 2
    assert "/nowhere/run.toml: No such file" in result.stderr
