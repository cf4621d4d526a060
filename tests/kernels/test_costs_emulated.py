"""What the cost model predicts for whole networks is what an emulated core executes."""

import shutil

import pytest

from benchmarks.costs import LAYER_TOLERANCE, NETWORK_TOLERANCE, compare, unseen
from benchmarks.fit_costs import UNSEEN_LAYERS
from fedtiny.compiler.planner import plan
from fedtiny.devices.profiles import target
from fedtiny.runtime import table
from tests.networks import autoencoder, dscnn, mobilenet, resnet8

pytest.importorskip("unicorn")

M4 = target("cortex-m4")

LAYER, NETWORK = LAYER_TOLERANCE, NETWORK_TOLERANCE

BEYOND = {
    "conv2d_dense_s8_dsp": 0.035,
    "conv2d_pairs_s8_dsp": 0.035,
    "depthwise_conv2d_pairs_rows_s8_dsp": 0.06,
    "fully_connected_double_s8": 0.2,
    "mul_s8": 0.05,
    "concat_s8": 0.05,
}
"""Relative errors of kernels that do not keep the tolerance on some small layers; what some of them
execute depends on the data."""

COMMON = (
    *("conv2d_pairs_s8_dsp", "conv2d_dense_s8_dsp", "depthwise_conv2d_3x3_s8_dsp"),
    *("fully_connected_csr_s8_dsp", "add_table_s8_dsp", "softmax_s8", "conv2d_csr_s8"),
)
"""Kernels whose layers are counted in every run of the tests."""

NETWORKS = {
    "resnet8": lambda: resnet8(density=0.1),
    "dscnn": lambda: dscnn(density=0.1),
    "mobilenet": mobilenet,
    "autoencoder": autoencoder,
}


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="coefficients are of arm-none-eabi-gcc"
)
@pytest.mark.parametrize("network", NETWORKS)
def test_predictions_hold_for_layers_and_networks_that_were_not_fitted(network):
    rows = compare(plan(NETWORKS[network](), M4), M4, "gcc")
    assert rows[-1].name == "(executor)"
    for row in rows:
        assert abs(row.error) <= LAYER, row
    predicted, counted = (sum(getattr(r, n) for r in rows) for n in ("predicted", "counted"))
    assert abs(predicted / counted - 1) <= NETWORK


def check_unseen(name: str, core: str, count: int) -> None:
    found = unseen(table.kernel(name), target(core), "gcc", count)
    assert max(map(abs, found)) <= BEYOND.get(name, LAYER)


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="coefficients are of arm-none-eabi-gcc"
)
@pytest.mark.parametrize("name", COMMON)
def test_predictions_hold_for_random_layers_that_were_not_fitted(name):
    check_unseen(name, "cortex-m4", 8)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="coefficients are of arm-none-eabi-gcc"
)
@pytest.mark.parametrize(
    "name",
    [k.name for k in table.kernels() if "cortex-m4" in k.cost and set(k.isa) <= set(M4.isa)],
)
def test_predictions_hold_for_every_kernel(name):
    check_unseen(name, "cortex-m4", UNSEEN_LAYERS)


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="coefficients are of arm-none-eabi-gcc, counts of QEMU",
)
def test_predictions_for_helium_hold():
    """Of layers; QEMU counts a dozen of the executor's instructions a step as theirs."""
    m55 = target("cortex-m55")
    rows = compare(plan(NETWORKS["dscnn"](), m55), m55, "gcc")[:-1]
    assert any("mve" in row.kernel for row in rows)
    for row in rows:
        assert abs(row.predicted - row.counted) <= LAYER * row.counted + 12, row
