"""stdout carries the result and nothing else; errors are one sentence with the documented code."""

import inspect
import json
import subprocess
import sys
import types

import pytest
from click.testing import CliRunner

from fedtiny import errors
from fedtiny.cli.app import fedtiny
from fedtiny.progress import SILENT
from fedtiny.report import model

pytestmark = pytest.mark.quick

TENSOR = model.TensorInfo((1, 4), "float32")


def make_report(**changes):
    info = model.ModelInfo("net", "ab", 0.5, 10, 100, 50, TENSOR, TENSOR)
    device = model.DeviceInfo("board", 1000, 1000, 1_000_000, None)
    totals = model.Totals(arena_bytes=model.Figure(400, "emulated", "unicorn"))
    content = {"device": device, "totals": totals, "budget": model.Budget(True), **changes}
    return model.DeploymentReport("0.1.0", info, "cortex-m4", **content)


OVER = model.Budget(False, (model.BudgetFailure("sram_bytes", 1000, 1500, "conv1", "density 0.1"),))
WRONG = (model.Verification("unicorn", 4, False, 3.0, "int8 graph", "conv2"),)


@pytest.fixture
def pipeline(monkeypatch):
    """A stand-in for the pipeline; tests set its functions."""
    import fedtiny as package

    module = types.ModuleType("fedtiny.pipeline")
    monkeypatch.setitem(sys.modules, "fedtiny.pipeline", module)
    monkeypatch.setattr(package, "pipeline", module, raising=False)
    return module


def run(*words):
    return CliRunner().invoke(fedtiny, list(words))


EXPORT = ("export", "model.onnx", "--target", "cortex-m4", "--out", "out")


@pytest.mark.parametrize(
    "words",
    [
        ("--json", *EXPORT),
        (*EXPORT, "--json"),
        ("-q", *EXPORT, "--json"),
        ("-v", *EXPORT, "--json"),
    ],
)
def test_json_is_the_report_and_nothing_else(pipeline, words):
    def export(path, *, progress, **options):
        print("a library that prints")
        with progress.task("compile", 2) as task:
            task.advance(2)
        progress.log("a line")
        return make_report()

    pipeline.export = export
    result = run(*words)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(make_report().to_json())
    assert "a library that prints" in result.stderr
    assert ("a line" in result.stderr) == ("-q" not in words)


def test_the_options_are_those_of_the_pipeline():
    from fedtiny.pipeline import export

    options = {item.name for item in fedtiny.commands["export"].params if item.expose_value}
    assert options == set(inspect.signature(export).parameters) - {"progress"}


def test_options_reach_the_pipeline(pipeline):
    seen = {}

    def export(path, **options):
        seen.update(options, path=str(path))
        return make_report()

    pipeline.export = export
    words = ["--format", "c, onnx,c", "--density", "0.05", "--ram", "min", "--feed"]
    assert run(*EXPORT, *words).exit_code == 0
    seen.pop("progress")
    assert str(seen.pop("out")) == "out"
    assert seen == {
        "path": "model.onnx", "target": "cortex-m4", "device": None, "formats": ("c", "onnx"),
        "dtype": None, "io": None, "density": 0.05, "pattern": None, "calibration": None,
        "calibration_method": "minmax", "equalize": None, "correct_bias": None, "ram": "min",
        "optimize": "speed", "feed": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"budget": OVER}, 3, "density 0.1"),
        ({"verification": WRONG}, 4, "conv2"),
        ({"budget": OVER, "verification": WRONG}, 4, "conv2"),
    ],
)
def test_a_report_that_failed_gives_its_code_and_is_still_shown(pipeline, changes, code, named):
    pipeline.export = lambda path, **options: make_report(**changes)
    plain, as_json = run(*EXPORT), run(*EXPORT, "--json")
    assert plain.exit_code == as_json.exit_code == code
    document = json.loads(as_json.stdout)
    assert document["exit_code"] == code
    assert named in document["error"]
    assert document["model"]["name"] == "net"
    assert named in plain.stderr
    assert "net" in plain.stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("no such model"), 2),
        (errors.UnsupportedError("node 'x' has op 'y'"), 2),
        (errors.DoesNotFitError("too big"), 3),
        (errors.MismatchError("differs"), 4),
        (errors.RunnerError("no emulator"), 5),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oh"), 1),
        (PermissionError(13, "Permission denied", "/x/y"), 2),
        (OSError(28, "No space left on device", "/x/y"), 2),
    ],
)
def test_every_error_ends_with_one_sentence_and_its_code(pipeline, error, code):
    def export(path, **options):
        raise error

    pipeline.export = export
    plain = run(*EXPORT)
    assert plain.exit_code == code
    assert plain.stdout == ""
    lines = [line for line in plain.stderr.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("fedtiny: ")
    assert lines[0].endswith(".")
    assert "Traceback" not in plain.stderr
    as_json = run(*EXPORT, "--json")
    assert as_json.exit_code == code
    document = json.loads(as_json.stdout)
    assert set(document) == {"error", "exit_code"}
    assert document["exit_code"] == code


def test_the_traceback_of_a_defect_is_shown_with_v_only(pipeline):
    def export(path, **options):
        raise ZeroDivisionError("oh")

    pipeline.export = export
    assert "Traceback" in run("-v", *EXPORT).stderr
    assert "report it" in run(*EXPORT).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("exprot",), "Did you mean 'export'"),
        (("export", "x", "--out", "y"), "--target"),
        (("export", "x", "--out", "y", "--target", "a", "--device", "b"), "exactly one"),
        (("export", "x", "--target", "a"), "--out"),
        (("export", "x", "--target", "a", "--out", "y", "--density", "2"), "density"),
        (("export", "x", "--target", "a", "--out", "y", "--format", ","), "format"),
        (("export", "x", "--target", "a", "--out", "y", "--bogus"), "--bogus"),
        (("devices", "show", "nucleo-l4r5z"), "Did you mean 'nucleo-l4r5zi'"),
        (("devices", "check", "nothing.toml"), "No such file"),
        (("report",), "at least one folder"),
        (("report", "nowhere"), "nowhere"),
    ],
)
def test_bad_usage_is_exit_2(words, said):
    plain, as_json = run(*words), run(*words, "--json")
    assert plain.exit_code == as_json.exit_code == 2
    assert said in plain.stderr
    assert json.loads(as_json.stdout) == {
        "error": plain.stderr.strip().removeprefix("fedtiny: "),
        "exit_code": 2,
    }


def test_stdout_of_child_processes_goes_to_stderr():
    code = (
        "import subprocess, sys, types\n"
        "import fedtiny\n"
        "module = types.ModuleType('fedtiny.pipeline')\n"
        "def verify(directory, runners, progress):\n"
        "    subprocess.run(['echo', 'child'], check=True)\n"
        "    raise __import__('fedtiny.errors').errors.RunnerError('gone')\n"
        "module.verify = verify\n"
        "sys.modules['fedtiny.pipeline'] = fedtiny.pipeline = module\n"
        "from fedtiny.cli import main\n"
        "sys.argv = ['fedtiny', 'verify', 'x', '--json']\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 5
    assert json.loads(result.stdout) == {"error": "gone.", "exit_code": 5}
    assert "child" in result.stderr


def test_lists_are_plain_text_when_piped():
    result = run("devices", "list")
    assert result.exit_code == 0
    assert "nucleo-l4r5zi" in result.stdout
    assert "\x1b" not in result.stdout
    names = [item["name"] for item in json.loads(run("devices", "--json").stdout)["devices"]]
    assert names == sorted(names)
    assert {item["name"] for item in json.loads(run("data", "--json").stdout)} >= {
        "fashion-mnist-mini"
    }


def test_demo_shows_every_report(pipeline):
    pipeline.demo = lambda out, progress: [make_report(), make_report(budget=OVER)]
    result = run("demo", "--json")
    assert result.exit_code == 3
    first, second = json.loads(result.stdout)
    assert "error" not in first
    assert second["exit_code"] == 3


def test_demo_ends_with_where_its_pages_are(pipeline, tmp_path):
    def demo(out, progress):
        (out / "board").mkdir()
        (out / "board" / "report.html").touch()
        return [make_report()]

    pipeline.demo = demo
    plain = run("demo", "--out", str(tmp_path))
    assert plain.stdout.endswith(f"report: {tmp_path / 'board' / 'report.html'}\n")


def test_quiet_gives_the_pipeline_a_silent_progress(pipeline):
    seen = []
    pipeline.verify = lambda directory, runners, progress: seen.append(progress) or make_report()
    assert run("-q", "verify", "x", "--on", "host", "--on", "qemu").exit_code == 0
    assert seen == [SILENT]
