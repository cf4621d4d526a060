"""Accounting reproduces the figures that papers publish."""

import pytest
import torch

from fedtiny.federated.accounting import forward_flops, layer_macs, state_bytes, storage_bits
from fedtiny.federated.local_training import last_batch_size
from fedtiny.models import create
from fedtiny.pruning.methods import fedavg, feddst, fedrts, fedtiny, prunefl

pytestmark = pytest.mark.quick


def resnet18(stem: int) -> dict[str, tuple[int, ...]]:
    """Shapes of ResNet-18 with 10 classes: convolutions, norms (4 vectors each), output."""
    shapes: dict[str, tuple[int, ...]] = {"stem": (64, 3, stem, stem), "stem.bn": (4, 64)}
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            name = f"{stage}.{block}"
            shapes[f"{name}.a"] = (width, inputs, 3, 3)
            shapes[f"{name}.b"] = (width, width, 3, 3)
            shapes[f"{name}.bn"] = (8, width)
            if inputs != width:
                shapes[f"{name}.short"] = (width, inputs, 1, 1)
                shapes[f"{name}.short.bn"] = (4, width)
            inputs = width
    return shapes | {"fc": (10, 512), "fc.bias": (10,)}


def test_storage_of_resnet18_is_that_of_fedrts_table_4() -> None:
    state = {name: torch.zeros(shape) for name, shape in resnet18(7).items()}
    masks = {}
    for name, value in state.items():
        if value.dim() == 4:
            mask = torch.zeros(value.numel(), dtype=torch.bool)
            mask[: round(0.2 * value.numel())] = True
            masks[name] = mask.reshape(value.shape)
    dense, sparse = state_bytes(state, {}) / 1e6, state_bytes(state, masks, "bitmap") / 1e6
    assert round(dense, 3) == 44.765
    assert round(sparse, 3) == 10.427
    assert round(3 * sparse, 2) == 31.28
    assert state_bytes(state, masks) <= state_bytes(state, masks, "bitmap")


def test_storage_formats() -> None:
    bits = storage_bits(rows=4, columns=100, nonzeros=20, bits=8)
    assert bits == {
        "dense": 3200,
        "bitmap": 400 + 160,
        "coo": 20 * 9 + 160,
        "csr": 20 * 7 + 4 * 5 + 160,
    }


def test_macs_by_hand() -> None:
    macs = layer_macs(create("resnet8", (1, 28, 28), 10), (1, 28, 28))
    assert macs["stem.0.weight"] == 28 * 28 * 16 * 9
    assert macs["stage3.conv1.weight"] == 7 * 7 * 64 * 32 * 9
    assert macs["stage3.shortcut.0.weight"] == 7 * 7 * 64 * 32
    assert macs["output.weight"] == 640


def test_flops_follow_density_layer_by_layer() -> None:
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[0, :5] = True
    assert forward_flops({"a": 100, "b": 7}, {"a": mask}) == 2 * (25 + 7)


def test_training_flops() -> None:
    """3 F_s (E - 1) + F_s + 2 F_d in an adjustment round, in samples instead of iterations."""
    dense, sparse, batch, iterations = 100.0, 10.0, 8, 5
    method = fedtiny.Method.__new__(fedtiny.Method)
    plain = method.training_flops(dense, sparse, batch * iterations, batch, False)
    assert plain == 3 * sparse * batch * iterations
    adjusting = method.training_flops(dense, sparse, batch * iterations, batch, True)
    assert adjusting == (3 * sparse * (iterations - 1) + sparse + 2 * dense) * batch
    yardstick = fedavg.Method.__new__(fedavg.Method)
    assert yardstick.training_flops(2 * 555.42e6, 2 * 555.42e6, 25_000, 64, False) == (
        pytest.approx(8.331e13, rel=1e-4)
    )


@pytest.mark.parametrize(
    ("samples", "batch", "last"), [(64, 32, 32), (65, 32, 33), (70, 32, 6), (20, 32, 20)]
)
def test_last_batch(samples: int, batch: int, last: int) -> None:
    assert last_batch_size(samples, batch) == last


def test_accounting_of_rivals() -> None:
    """FLOPs and bytes of an adjustment round as FedTiny's follow-up papers count them."""
    dense, sparse, batch, iterations = 100.0, 10.0, 8, 5
    samples = batch * iterations
    for kind in (fedtiny, feddst, fedrts):
        flops = kind.Method.__new__(kind.Method).training_flops(dense, sparse, samples, batch, True)
        assert flops == (3 * sparse * (iterations - 1) + sparse + 2 * dense) * batch
    pruner = prunefl.Method.__new__(prunefl.Method)
    assert pruner.training_flops(dense, sparse, samples, batch, True) == (2 * 100 + 10) * samples
    assert pruner.training_flops(dense, sparse, samples, batch, False) == 3 * sparse * samples
    assert pruner.communication_bytes(dense, sparse, True) == dense + sparse
    assert (
        feddst.Method.__new__(feddst.Method).communication_bytes(dense, sparse, True) == 2 * sparse
    )
    sizes = []
    for kind in (fedtiny, fedrts):
        method = kind.Method.__new__(kind.Method)
        method._counts = {"a": 3, "b": 4}
        sizes.append(method.communication_bytes(dense, sparse, True) - 2 * sparse)
    assert sizes == [7 * 8, 7 * 4]
