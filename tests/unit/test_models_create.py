"""Networks by name, and what of them may be pruned."""

import sys
import types

import pytest
import torch
from torch import nn

from fedtiny.errors import UsageError
from fedtiny.models import create, model_names, prunable_blocks

pytestmark = pytest.mark.quick


def macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    from fedtiny.federated.accounting import layer_macs

    return sum(layer_macs(module, shape).values())


def test_resnet8_has_the_work_of_mlperf_tinys() -> None:
    assert macs(create("resnet8", (3, 32, 32), 10), (3, 32, 32)) == 12_501_632


def test_stride_2_stem_is_a_quarter_of_the_work() -> None:
    whole, quarter = create("resnet8", (1, 32, 32), 10), create("resnet8-stride2", (1, 32, 32), 10)
    assert macs(whole, (1, 32, 32)) // macs(quarter, (1, 32, 32)) in (3, 4)
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (whole, quarter)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 23)])
def test_networks_are_captured_and_declare_blocks(name: str, shape: tuple[int, ...]) -> None:
    module = create(name, shape, 7).eval()
    x = torch.rand(2, *shape)
    exported = torch.export.export(module, (x,)).module()
    assert torch.equal(exported(x), module(x))
    blocks = prunable_blocks(module)
    names = [n for block in blocks for n in block]
    assert all(module.get_parameter(n).dim() in (2, 4) for n in names)
    order = [n for n, _ in module.named_parameters()]
    assert order.index(blocks[0][0]) > order.index(blocks[-1][-1])
    convolves = module.get_parameter(order[0]).dim() == 4
    assert not convolves or order[0] not in names
    assert "output.weight" not in names


def test_weights_are_seeded_and_torchs_state_is_left() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (create("resnet8", (1, 8, 8), 3, seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    states = [m.state_dict()["stage1.conv1.weight"] for m in (a, b, c)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'resnet9'. Did you mean 'resnet8'\?"):
        create("resnet9", (1, 8, 8), 3)


class User(nn.Module):
    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(shape[0], 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 1)),
        )
        self.hidden = nn.Linear(6, 5)
        self.last = nn.Linear(5, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.hidden(self.features(x).mean((2, 3))))


def user_module(monkeypatch: pytest.MonkeyPatch, **content: object) -> None:
    module = types.ModuleType("usermodels")
    for name, value in content.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "usermodels", module)


def test_a_users_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    user_module(monkeypatch, User=User)
    module = create("usermodels:User", (2, 6, 6), 4)
    assert module(torch.zeros(3, 2, 6, 6)).shape == (3, 4)
    assert prunable_blocks(module) == (
        ("hidden.weight",),
        ("features.2.weight", "features.3.0.weight", "features.3.2.weight"),
    )
    flat = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
    )
    assert prunable_blocks(nn.Sequential(flat)) == (("0.2.weight",), ("0.1.weight",))
    with pytest.raises(UsageError, match="no prunable weights"):
        prunable_blocks(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)))


def test_wrong_declaration() -> None:
    class Wrong(User):
        def prunable_blocks(self) -> tuple[tuple[str, ...], ...]:
            return (("hidden.weight", "features.9.weight"),)

    with pytest.raises(UsageError, match=r"names 'features\.9\.weight'"):
        prunable_blocks(Wrong((1, 4, 4), 2))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.at.all:make", "cannot be imported: No module"),
        ("usermodels:missing", "cannot be imported"),
        ("usermodels:number", "is not a function"),
        ("usermodels:three", "is not a function"),
        ("usermodels:fails", "cannot be made: too bad"),
        ("usermodels:text", "returned a str"),
        ("usermodels:narrow", r"returns \(1, 1\) for one sample"),
        ("usermodels:other", "does not take inputs of shape"),
    ],
)
def test_unsound_factories(monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    def fails(shape: object, classes: object) -> None:
        raise RuntimeError("too bad")

    user_module(
        monkeypatch,
        number=3,
        three=lambda a, b, c: None,
        fails=fails,
        text=lambda shape, classes: "x",
        narrow=lambda shape, classes: User((1,), 1),
        other=lambda shape, classes: User((2,), classes),
    )
    with pytest.raises(UsageError, match=says):
        create(name, (1, 6, 6), 4)
