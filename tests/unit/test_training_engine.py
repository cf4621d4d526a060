"""The C step's gradients, updates and place in a training, against torch in double precision."""

import copy
import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedtiny.data import Dataset
from fedtiny.errors import UnsupportedError
from fedtiny.federated import objective
from fedtiny.federated.evaluation import channels_last
from fedtiny.federated.local_training import Hooks, Recipe, Step, train
from fedtiny.models import create, prunable_blocks
from fedtiny.training_engine import library
from fedtiny.training_engine.engine import Engine, Evaluation, Training
from fedtiny.training_engine.trace import trace

CLASSES = 5
NETWORKS = [
    ("resnet8", (3, 9, 9)),
    ("resnet8", (1, 14, 11)),
    ("resnet8@0.6", (1, 7, 7)),
    ("resnet8-stride2", (1, 15, 15)),
    ("resnet18@0.125", (3, 9, 9)),
    ("resnet18-7x7@0.125", (3, 37, 37)),
    ("vgg11@0.125", (1, 16, 16)),
    ("dscnn@0.25", (1, 21, 10)),
    ("mobilenetv1-025", (3, 32, 32)),
    ("autoencoder", (1, 6, 5)),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_masks(module: nn.Module, density: float, seed: int = 0) -> dict[str, torch.Tensor]:
    """None of a density of 1."""
    generator = torch.Generator().manual_seed(seed)
    masks = {
        name: torch.rand(module.get_parameter(name).shape, generator=generator) < density
        for block in prunable_blocks(module)
        for name in block
    }
    with torch.no_grad():
        for name, mask in masks.items():
            module.get_parameter(name).mul_(mask)
    return masks if density < 1 else {}


def batch(shape: tuple[int, ...], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(count, *shape, generator=generator), torch.arange(count) % CLASSES


def reference(
    module: nn.Module, x: torch.Tensor, y: torch.Tensor, dtype: torch.dtype
) -> tuple[nn.Module, float]:
    """The module after a backward pass in that precision."""
    exact = copy.deepcopy(module).to(dtype).train()
    loss = objective.loss(exact, exact(x.to(dtype)), x.to(dtype), y)
    loss.backward()  # type: ignore[no-untyped-call]
    return exact, loss.item()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """In units of the second's length."""
    return float((a.double() - b).norm() / b.norm().clamp(min=1e-3))


def compare(module: nn.Module, density: float, shape: tuple[int, int, int], count: int) -> None:
    """Loss, all gradients and running statistics of one batch."""
    masks, (x, y) = random_masks(module, density), batch(shape, count)
    exact, loss = reference(module, x, y, torch.float64)
    single, _ = reference(module, x, y, torch.float32)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    engine = Engine(module, masks, count + 3, shape)
    engine.load(optimizer)
    assert engine.gradients(x, y) == pytest.approx(loss, rel=1e-4)
    for name, parameter in exact.named_parameters():
        assert parameter.grad is not None
        kept = masks.get(name, torch.ones(1))
        theirs = single.get_parameter(name).grad
        assert theirs is not None
        # As far from exact as torch's own float32, which flips a ReLU now and then.
        allowed = 1e-4 + 10 * distance(theirs * kept, parameter.grad * kept)
        assert distance(engine.gradient(name), parameter.grad * kept) < min(allowed, 0.2), name
    engine.store(optimizer)
    for name, buffer in exact.named_buffers():
        found = module.get_buffer(name).double()
        assert torch.allclose(found, buffer.double(), rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("density", [1.0, 0.5, 0.05])
@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_gradients(name: str, shape: tuple[int, int, int], density: float) -> None:
    compare(create(name, shape, CLASSES), density, shape, 11)


@pytest.mark.parametrize(("name", "shape"), NETWORKS[:1] + NETWORKS[-4:])
def test_evaluates_from_any_thread(name: str, shape: tuple[int, int, int]) -> None:
    module = create(name, shape, CLASSES)
    evaluation = Evaluation(module, shape, 2)
    x, _ = batch(shape, 70)
    for density in (1.0, 0.2):
        masks = random_masks(module, density)
        module.train()(x)
        evaluation.load(masks)
        with ThreadPoolExecutor(2) as pool:
            found = torch.cat(list(pool.map(evaluation, x.split(35))))
        with torch.no_grad():
            expected = module.eval()(x)
        assert distance(found, expected.double()) < 1e-5
        assert torch.equal(found, evaluation(x))


class Strange(nn.Module):
    """Strides of 3, even kernels, dilation, groups, pooling with borders, biases, plain sums."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, (4, 3), (3, 2), (2, 1))
        self.norm1 = nn.BatchNorm2d(6)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.second = nn.Conv2d(6, 8, 2, 1, 1, groups=2)
        self.act = nn.ReLU6()
        self.third = nn.Conv2d(8, 8, 3, 1, 2, dilation=2)
        self.mean = nn.AvgPool2d(2)
        self.hidden = nn.Linear(8 * 2 * 3, 7)
        self.norm2 = nn.BatchNorm1d(7, momentum=0.3)
        self.output = nn.Linear(7, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.second(self.pool(self.norm1(self.first(x)))))
        x = self.mean(self.third(x) + x)
        return self.output(torch.relu(self.norm2(self.hidden(x.flatten(1)))))


@pytest.mark.parametrize("count", [2, 8, 13])
@pytest.mark.parametrize("density", [1.0, 0.3])
def test_other_networks(density: float, count: int) -> None:
    torch.manual_seed(0)
    compare(Strange(), density, (2, 23, 19), count)


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.output = nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.sigmoid(self.conv(x)).mean((2, 3)))


def test_what_is_unknown_is_named() -> None:
    with pytest.raises(UnsupportedError, match="sigmoid"):
        trace(Unknown(), (1, 8, 8))


def test_falls_back_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="computed by torch"):
        assert Training.start(Unknown(), 8, (1, 8, 8)) is None


def dataset(count: int = 45, shape: tuple[int, ...] = (1, 9, 9)) -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    names = tuple(map(str, range(CLASSES)))
    return Dataset("random", images, np.arange(count) % CLASSES, names, count)


def trained(engine: str, hooks: Hooks | None = None, density: float = 0.2) -> tuple[Any, Any]:
    module = channels_last(create("resnet8", (1, 9, 9), CLASSES))
    masks = random_masks(module, density)
    recipe = Recipe(3, 8, 0.01, 0.9, 5e-4, engine=engine)
    result = train(module, masks, dataset(), recipe, np.random.default_rng(0), hooks)
    return module.state_dict(), result


@pytest.mark.parametrize(("density", "near"), [(1.0, 1e-5), (0.2, 3e-2)])
def test_trains_as_torch_does(density: float, near: float) -> None:
    """Sparse channels are close to zero more often, where float32 flips a ReLU."""
    ours, result = trained("sparse", density=density)
    theirs, expected = trained("torch", density=density)
    assert result.losses == pytest.approx(expected.losses, rel=near)
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value, rtol=near, atol=near), name


def test_the_same_every_time() -> None:
    first, second = trained("sparse"), trained("sparse")
    assert first[1].losses == second[1].losses
    assert all(torch.equal(value, second[0][name]) for name, value in first[0].items())


class Visits(Hooks):
    """Looks at the module at one iteration, changes a mask, and wants torch for another."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def acts_before(self, step: Step) -> bool:
        return step.iteration == 4

    def before(self, step: Step) -> None:
        if self.acts_before(step):
            self.seen.append(step.module.get_parameter("stage3.conv1.weight").detach().clone())
            masks = {n: m & (torch.arange(m.numel()) % 2 == 0).reshape(m.shape)
                     for n, m in step.masks.items()}  # fmt: skip
            step.adopt(masks)

    def needs_torch(self, step: Step) -> bool:
        return step.iteration == 6


def test_hooks_find_the_weights_and_may_change_masks() -> None:
    ours, theirs = Visits(), Visits()
    state, result = trained("sparse", ours)
    expected, other = trained("torch", theirs)
    assert torch.allclose(ours.seen[0], theirs.seen[0], rtol=1e-2, atol=1e-3)
    assert result.losses == pytest.approx(other.losses, rel=3e-2)
    for name, mask in result.masks.items():
        assert not state[name][~mask].any()
        assert torch.equal(mask, other.masks[name])
    for name, value in expected.items():
        assert torch.allclose(state[name], value, rtol=3e-2, atol=3e-2), name


def test_four_lanes_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors without AVX have half the lanes."""
    wide, _ = trained("sparse")
    monkeypatch.setattr(library, "_vector_flags", lambda: ("-mno-avx",))
    monkeypatch.setattr(library, "shared_library", library.shared_library.__wrapped__)
    narrow: ctypes.CDLL = library.library.__wrapped__()
    assert narrow.fedtiny_training_lanes() == 4
    monkeypatch.setattr("fedtiny.training_engine.engine.library", lambda: narrow)
    found, _ = trained("sparse")
    for name, value in wide.items():
        assert torch.allclose(found[name], value, rtol=2e-2, atol=2e-3), name
