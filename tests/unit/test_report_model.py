"""`report.json` keeps its promises, survives a round trip, and is checked when read."""

import json

import pytest

from fedtiny.errors import DoesNotFitError, MismatchError, UsageError
from fedtiny.report import model

pytestmark = pytest.mark.quick

INT8 = model.TensorInfo(shape=(1, 32, 32, 3), dtype="int8", scale=0.5, zero_point=-128)


def make_report(**changes):
    """A small but complete report."""
    estimated = model.Figure(1024, "estimated", "planner")
    content = {
        "fedtiny_version": "0.1.0",
        "model": model.ModelInfo(
            "resnet8", "ab" * 32, 0.1, 78000, 12_501_632, 1_300_000, INT8, INT8
        ),
        "target": "cortex-m4",
        "device": model.DeviceInfo(
            "board", 2048, 1024, 120_000_000, None, None, {"b": "x", "a": "y"}
        ),
        "artifacts": (model.Artifact("onnx", "model.onnx", 10, "cd" * 32),),
        "layers": (
            model.LayerReport("conv1", "conv2d", "conv2d_s8", "dense", 1.0, 10, 10, estimated),
            model.LayerReport("pool", "average_pool2d", "average_pool2d_s8", None, None, 0, 0),
        ),
        "totals": model.Totals(flash_bytes=estimated),
        "budget": model.Budget(fits=True),
        "verification": (model.Verification("host", 10, True, 0.0, "int8 graph"),),
        "accuracy": model.Accuracy("fashion-mnist/test", 0.8, 0.79),
        "arena": model.ArenaMap("layers", 64, 60, (model.ArenaItem("x", 0, 60, 0, 3),)),
        "training": model.Training("fedtiny", "fashion-mnist", 0.1, 10, 0, (model.Round(1, 0.5),)),
    }
    return model.DeploymentReport(**{**content, **changes})


def test_keys_are_those_of_the_interface():
    content = json.loads(make_report().to_json())
    assert next(iter(content)) == "schema_version"
    promised = "schema_version fedtiny_version model target device artifacts layers totals budget"
    assert {*promised.split(), "verification", "accuracy", "toolchain"} <= set(content)
    layer = (
        "name op kernel pattern density macs macs_nonzero flash_bytes scratch_bytes instructions"
    )
    assert {*layer.split(), "cycles", "latency_ms"} <= set(content["layers"][0])
    totals = "flash_bytes weights_bytes code_bytes arena_bytes stack_bytes static_ram_bytes"
    assert {*totals.split(), "stack_bound_bytes", "instructions", "cycles", "latency_ms"} == set(
        content["totals"]
    )
    assert content["totals"]["flash_bytes"] == {
        "value": 1024,
        "evidence": "estimated",
        "by": "planner",
    }
    assert content["totals"]["cycles"] is None
    assert set(content["model"]["input"]) == {"shape", "dtype", "scale", "zero_point"}


def test_round_trip_is_exact_and_bytes_do_not_depend_on_the_order_of_a_mapping():
    report = make_report()
    text = report.to_json()
    assert model.DeploymentReport.from_json(text) == report
    other = model.DeviceInfo("board", 2048, 1024, 120_000_000, None, None, {"a": "y", "b": "x"})
    assert make_report(device=other).to_json() == text


def test_an_unknown_key_is_ignored():
    content = json.loads(make_report().to_json())
    content["model"]["added_later"] = 1
    assert model.DeploymentReport.from_json(json.dumps(content)) == make_report()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("model", "macs"), "many", "macs"),
        (("model", "macs"), True, "macs"),
        (("totals", "flash_bytes", "evidence"), "guessed", "'measured'"),
        (("totals", "flash_bytes", "value"), None, "value"),
        (("layers", 1, "kernel"), 5, r"layers\[1\]: kernel"),
        (("layers",), {}, "a list"),
        (("schema_version",), 99, "schema_version is 99"),
        (("model", "density"), float("inf"), "finite"),
    ],
)
def test_a_damaged_field_is_named(path, value, said):
    content = json.loads(make_report().to_json())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UsageError, match=said):
        model.DeploymentReport.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"schema_version": 1}'])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(UsageError):
        model.DeploymentReport.from_json(text)


def test_read_report_names_the_file(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        model.read_report(tmp_path)
    (tmp_path / "report.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        model.read_report(tmp_path)


def test_failures_and_their_order():
    assert make_report().failure() is None
    over = model.BudgetFailure("sram_bytes", 1000, 1500, "conv1", "density 0.05 would fit")
    unfit = make_report(budget=model.Budget(False, (over,)))
    error = unfit.failure()
    assert isinstance(error, DoesNotFitError)
    assert error.exit_code == 3
    assert "500 over" in str(error)
    assert "conv1" in str(error)
    wrong = model.Verification("unicorn", 10, False, 7.0, "int8 graph", "conv3")
    error = make_report(budget=model.Budget(False, (over,)), verification=(wrong,)).failure()
    assert isinstance(error, MismatchError)
    assert "conv3" in str(error)


@pytest.mark.parametrize(
    ("error", "tolerance", "equal"), [(1.0, 1.0, True), (2.0, 1.0, False), (None, 1.0, False)]
)
def test_a_tolerance_counts_as_equal_only_up_to_itself(error, tolerance, equal):
    entry = model.Verification("onnxruntime", 10, False, error, "int8 graph", tolerance=tolerance)
    assert entry.equal is equal
