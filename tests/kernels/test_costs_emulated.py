"""What the cost model predicts for whole networks is what an emulated core executes."""

import shutil

import pytest

from benchmarks.costs import compare
from fedtiny.compiler.planner import plan
from fedtiny.devices.profiles import target
from tests.networks import autoencoder, dscnn, mobilenet, resnet8

pytest.importorskip("unicorn")

M4 = target("cortex-m4")

LAYER, NETWORK = 0.037, 0.02
"""Relative errors; the largest seen is that of MobileNet's first layer, 3.6 %."""

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
