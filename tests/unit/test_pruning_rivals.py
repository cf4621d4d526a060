"""Every method's mask rule against a slow, obvious version of it."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fedtiny.data import Dataset
from fedtiny.federated.config import TrainConfig
from fedtiny.federated.fleet import Fleet
from fedtiny.federated.local_training import Hooks, Recipe, Step, train
from fedtiny.federated.server import Server, snapshot
from fedtiny.models import create
from fedtiny.pruning import erk
from fedtiny.pruning.holders import over_holders
from fedtiny.pruning.masks import density, erk_counts, global_masks, masked
from fedtiny.pruning.method import Update
from fedtiny.pruning.methods import (
    feddst,
    fedmef,
    fedrts,
    fl_pqsu,
    lotteryfl,
    prunefl,
    snip,
    synflow,
)
from fedtiny.pruning.top_gradients import TopGradients

pytestmark = pytest.mark.quick

SHAPE = (1, 8, 8)


class Nobody(Fleet):
    def exchange(self, requests):  # type: ignore[no-untyped-def]
        raise AssertionError("nobody is asked")


def server(method: str, **options: object) -> Server:
    rng = np.random.default_rng(0)
    public = Dataset("d", rng.random((12, *SHAPE), np.float32), np.arange(12) % 3, tuple("abc"), 12)
    given = {"density": 0.1, "clients": 2, "rounds": 300, "batch": 4, "pretrain_epochs": 0}
    config = TrainConfig("d", "resnet8-stride2", method=method, **given | options)  # type: ignore[arg-type]
    return Server(config, create("resnet8-stride2", SHAPE, 3), public, Nobody())


def test_global_masks_rank_all_layers_together() -> None:
    scores = {"a": torch.tensor([[1.0, 9.0], [3.0, 3.0]]), "b": torch.tensor([2.0, 3.0, 8.0])}
    masks = global_masks(scores, 3 / 7)
    assert masks["a"].tolist() == [[False, True], [True, False]]
    assert masks["b"].tolist() == [False, False, True]


@pytest.mark.parametrize("wanted", [0.01, 0.1, 0.5])
def test_erk_densities_are_in_proportion_to_dimensions(wanted: float) -> None:
    shapes = {"small": (16, 8, 3, 3), "large": (64, 64, 3, 3), "linear": (10, 640)}
    counts = erk_counts(shapes, wanted)
    total = sum(math.prod(s) for s in shapes.values())
    assert sum(counts.values()) == round(wanted * total)
    ratio = {n: counts[n] / sum(s) for n, s in shapes.items() if counts[n] < math.prod(s)}
    assert max(ratio.values()) - min(ratio.values()) < 2 / 30
    if wanted == 0.5:
        assert counts["small"] == math.prod(shapes["small"])


def test_snip_is_the_products_of_weights_and_mean_gradients() -> None:
    method = snip.Method(server("snip"))
    masks = method.init()
    module, public = method.server.module, method.server.public
    module.load_state_dict(method.server.state)
    module.train()
    slow = {}
    for name in method.server.codec.prunable:
        slow[name] = torch.zeros_like(module.get_parameter(name))
    for start in (0, 4, 8):
        module.zero_grad()
        x, y = public.images[start : start + 4], public.labels[start : start + 4]
        F.cross_entropy(module(torch.tensor(x)), torch.tensor(y)).backward()
        for name in slow:
            slow[name] += 4 * module.get_parameter(name).grad
    scores = [
        (-abs(float(w) * float(g)), name, i)
        for name, gradient in slow.items()
        for i, (w, g) in enumerate(
            zip(module.get_parameter(name).detach().reshape(-1), gradient.reshape(-1), strict=True)
        )
    ]
    best = {(name, i) for _, name, i in sorted(scores)[: round(0.1 * len(scores))]}
    chosen = {(n, i) for n, m in masks.items() for i in m.reshape(-1).nonzero()[:, 0].tolist()}
    assert len(best ^ chosen) <= 4  # neighbours may change places by rounding
    assert density(masks) == pytest.approx(0.1, abs=1e-4)


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.a(x.reshape(len(x), -1))))


def test_synaptic_flow_is_the_sum_over_paths() -> None:
    torch.manual_seed(0)
    module = synflow.linearized(TwoLayers())
    masks = {"a.weight": torch.rand(4, 3) < 0.7, "b.weight": torch.rand(2, 4) < 0.7}
    a, b = (module.get_parameter(n).detach() * m for n, m in masks.items())
    flow = synflow.flow(module, ("a.weight", "b.weight"), masks, (1, 1, 3))
    for j in range(4):
        for i in range(3):
            paths = sum(float(b[k, j] * a[j, i]) for k in range(2))
            assert float(flow["a.weight"][j, i]) == pytest.approx(paths)
        for k in range(2):
            paths = sum(float(b[k, j] * a[j, i]) for i in range(3))
            assert float(flow["b.weight"][k, j]) == pytest.approx(paths)
    sums = [float(f.sum()) for f in flow.values()]
    assert sums[0] == pytest.approx(sums[1])  # flow is conserved from layer to layer


def test_global_masks_of_blocks_rank_means_and_stay_below_the_density() -> None:
    blocks = torch.zeros(2, 8)
    blocks[0, 4:], blocks[1, :4], blocks[1, 4] = 3.0, 1.0, 5.0
    scores = {"blocked": blocks, "single": torch.tensor([[2.0, 0.0, 1.3]])}
    assert {n: m.int().tolist() for n, m in global_masks(scores, 10 / 19, "block1x4").items()} == {
        "blocked": [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]],
        "single": [[1, 0, 1]],
    }


def test_synflow_prunes_along_the_schedule_and_leaves_a_way_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    densities = []
    plain = synflow.global_masks
    monkeypatch.setattr(
        synflow, "global_masks", lambda s, d, p: densities.append(d) or plain(s, d, p)
    )
    method = synflow.Method(server("synflow", density=0.02))
    masks = method.init()
    assert densities == [0.02 ** (k / 100) for k in range(1, 101)]
    total = sum(m.numel() for m in masks.values())
    assert sum(int(m.sum()) for m in masks.values()) == round(0.02 * total)
    module = synflow.linearized(method.server.module)
    left = synflow.flow(module, tuple(masks), masks, SHAPE)
    assert sum(float(part.sum()) for part in left.values()) > 0


def a_step(module: nn.Module, masks: dict[str, torch.Tensor]) -> Step:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    x, y = torch.rand(6, *SHAPE), torch.arange(6) % 3
    return Step(module, masks, optimizer, 5, 2, x, y)


def test_feddst_clients_prune_by_magnitude_and_grow_by_gradient() -> None:
    torch.manual_seed(1)
    host = server("feddst")
    masks = erk.random_erk(host)
    step = a_step(host.module, masks)
    module = copy.deepcopy(host.module)
    F.cross_entropy(module(step.x), step.y).backward()
    assert dict(feddst.Method.on_client(step, {"share": 0.25})) == {}
    for name, mask in masks.items():
        weight, gradient = module.get_parameter(name).reshape(-1), module.get_parameter(name).grad
        assert gradient is not None
        active = [i for i, m in enumerate(mask.reshape(-1)) if m]
        count = min(int(0.25 * len(active)), mask.numel() - len(active))
        kept = set(
            sorted(active, key=lambda i: (-abs(float(weight[i].detach())), i))[
                : len(active) - count
            ]
        )
        free = [i for i in range(mask.numel()) if i not in kept]
        flat = gradient.reshape(-1)
        expected = kept | set(sorted(free, key=lambda i: -abs(float(flat[i])))[:count])
        found = set(step.masks[name].reshape(-1).nonzero()[:, 0].tolist())
        assert len(found) == len(active)
        assert len(found ^ expected) <= 2  # equal gradients but for rounding
        now = host.module.get_parameter(name).detach().reshape(-1)
        assert set(now.nonzero()[:, 0].tolist()) <= kept


def update(client: int, samples: int, total: int, state: dict, masks: dict, value=None) -> Update:  # type: ignore[no-untyped-def, type-arg]
    return Update(client, samples, samples / total, 0.0, state, masks, value)


def test_feddst_averages_over_holders_and_prunes_again() -> None:
    host = server("feddst")
    method = feddst.Method(host)
    host.masks = erk.random_erk(host)
    rng = np.random.default_rng(3)
    name = next(iter(host.masks))
    updates = []
    for client, samples in ((0, 3), (1, 1)):
        own = {
            n: torch.from_numpy(rng.permutation(m.reshape(-1).numpy())).reshape(m.shape)
            for n, m in host.masks.items()
        }
        state = snapshot(host.module)
        for n, mask in own.items():
            state[n] = torch.from_numpy(rng.normal(size=mask.shape).astype("f4")) * mask
        updates.append(update(client, samples, 4, state, own))
    mean = method.aggregate(updates)
    masks = method.server_update(mean, updates)
    values = []
    for i in range(host.masks[name].numel()):
        held = [u for u in updates if u.masks[name].reshape(-1)[i]]
        top = sum(u.samples * float(u.state[name].reshape(-1)[i]) for u in held)
        values.append(top / sum(u.samples for u in held) if held else 0.0)
    assert np.allclose(mean[name].reshape(-1), values, atol=1e-6)
    kept = sorted(range(len(values)), key=lambda i: -abs(values[i]))[: int(host.masks[name].sum())]
    assert set(masks[name].reshape(-1).nonzero()[:, 0].tolist()) == set(kept)
    same = [update(0, 1, 1, host.state, host.masks)]
    assert method.server_update(host.state, same) is host.masks


def test_feddst_schedule() -> None:
    method = feddst.Method(server("feddst"))
    asked = {r: method.client_extra(r) for r in range(1, 301) if method.client_extra(r)}
    assert list(asked) == list(range(10, 150, 10))
    assert asked[70] == {"share": 0.25 * (1 + math.cos(math.pi * 70 / 150))}


@pytest.mark.parametrize("seed", range(5))
def test_prunefl_adds_while_it_pays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes, cost = {"a": (4, 5), "b": (30,)}, {"a": 3.0, "b": 0.5}
    masks = {n: torch.from_numpy(rng.random(s) < 0.6) for n, s in shapes.items()}
    weights = {n: torch.from_numpy(rng.normal(size=s)) * masks[n] for n, s in shapes.items()}
    squares = {n: torch.from_numpy(rng.exponential(size=s) ** 2) for n, s in shapes.items()}
    limit = int(rng.integers(10, 50))
    new = prunefl.adjust(weights, masks, squares, cost, 7.0, 0.3, limit)

    kept = set()
    for name, mask in masks.items():
        active = [i for i, m in enumerate(mask.reshape(-1)) if m]
        flat = weights[name].reshape(-1)
        active.sort(key=lambda i: -abs(float(flat[i])))
        kept |= {(name, i) for i in active[: len(active) - int(0.3 * len(active))]}

    def importance(w: tuple[str, int]) -> float:
        return float(squares[w[0]].reshape(-1)[w[1]])

    others = [(n, i) for n, s in shapes.items() for i in range(math.prod(s)) if (n, i) not in kept]
    others.sort(key=lambda w: -importance(w) / cost[w[0]])
    for weight in others:
        gain = sum(importance(w) for w in kept) / (7.0 + sum(cost[w[0]] for w in kept))
        if len(kept) >= limit or importance(weight) / cost[weight[0]] <= gain:
            break
        kept.add(weight)
    found = {(n, i) for n, m in new.items() for i in m.reshape(-1).nonzero()[:, 0].tolist()}
    assert found == kept


class Gradients(Hooks):
    def __init__(self) -> None:
        self.slow: dict[str, torch.Tensor] = {}
        self.sent: dict[str, np.ndarray] = {}

    def after_backward(self, step: Step) -> None:
        for name, parameter in step.module.named_parameters():
            assert parameter.grad is not None
            self.slow[name] = self.slow.get(name, 0) + parameter.grad.detach().clone() ** 2
        self.sent.update(prunefl.Method.on_gradients(step, {"squares": 1}))


def test_prunefl_clients_send_mean_squared_gradients_of_pruned_weights_too() -> None:
    host = server("prunefl")
    masks = erk.random_erk(host)
    hooks = Gradients()
    rng = np.random.default_rng(0)
    train(host.module, masks, host.public, Recipe(2, 4, 0.1, 0.9, 0.0), rng, hooks)
    names = sorted(masks)
    expected = torch.cat([hooks.slow[n].reshape(-1) / 6 for n in names])
    assert np.allclose(hooks.sent["squares"], expected, rtol=1e-4)
    inactive = torch.cat([~masks[n].reshape(-1) for n in names])
    assert float(expected[inactive].sum()) > 0


def test_thompson_sampling_learns_what_its_paper_says() -> None:
    host = server("fedrts")
    method = fedrts.Method(host)
    host.masks = method.init()
    host.round = 10
    request = method.client_extra(10)
    assert list(request) == ["counts"]
    rng = np.random.default_rng(2)
    updates = []
    for client, samples in ((0, 3), (1, 1)):
        state = snapshot(host.module)
        top = {}
        for (name, mask), count in zip(host.masks.items(), request["counts"], strict=True):  # type: ignore[arg-type]
            state[name] = torch.from_numpy(rng.normal(size=mask.shape).astype("f4")) * mask
            free = (~mask.reshape(-1)).nonzero()[:, 0].numpy()
            chosen = np.sort(rng.permutation(free)[:count])
            top[name] = TopGradients(torch.from_numpy(chosen), torch.ones(count))
        updates.append(update(client, samples, 4, state, host.masks, top))
    weights = method.aggregate(updates)
    new = method.server_update(weights, updates)
    for (name, mask), count in zip(host.masks.items(), request["counts"], strict=True):  # type: ignore[arg-type]
        active = int(mask.sum())
        assert count == min(int(0.2 * (1 + math.cos(math.pi / 30)) * active), mask.numel() - active)
        core = [
            set(
                torch.sort(-s[name].abs().reshape(-1), stable=True)
                .indices[: active - count]
                .tolist()
            )
            for s in (updates[0].state, updates[1].state, weights)
        ]
        for i in range(mask.numel()):
            if mask.reshape(-1)[i]:
                outcome = 0.5 * (i in core[2]) + 0.5 * (
                    0.75 * (i in core[0]) + 0.25 * (i in core[1])
                )
            else:
                tops = [i in u.value[name].indices for u in updates]
                outcome = 0.25 + 0.5 * (0.75 * tops[0] + 0.25 * tops[1])
            a, b = (float(method.tensors[f"{p}.{name}"].reshape(-1)[i]) for p in "ab")
            assert a == pytest.approx(1 + 10 * outcome)
            assert b == pytest.approx(1 + 10 * (1 - outcome))
        assert int(new[name].sum()) == active
    assert any((new[n] ^ m).any() for n, m in host.masks.items())
    host.round = 11
    assert method.client_extra(11) == {}
    before = {n: t.clone() for n, t in method.tensors.items()}
    assert method.server_update(weights, updates) is host.masks
    name = next(iter(host.masks))
    moved = (
        method.tensors[f"a.{name}"]
        + method.tensors[f"b.{name}"]
        - before[f"a.{name}"]
        - before[f"b.{name}"]
    )
    assert torch.allclose(moved, 10.0 * host.masks[name])


def test_fedmef_backward_sees_the_largest_half_of_every_input() -> None:
    torch.manual_seed(2)
    conv, linear = nn.Conv2d(2, 3, 3, bias=False), nn.Linear(12, 2, bias=False)
    module = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    with fedmef.pruned_activations(module):
        out = module(x)
    assert torch.equal(out, module(x))
    out.sum().backward()
    assert conv.weight.grad is not None
    assert linear.weight.grad is not None

    def half(values: torch.Tensor) -> torch.Tensor:
        flat = values.detach().reshape(-1).clone()
        order = sorted(range(flat.numel()), key=lambda i: (-abs(float(flat[i])), i))
        flat[order[flat.numel() // 2 :]] = 0
        return flat.reshape(values.shape)

    hidden = module[2](module[1](conv(x)))
    assert torch.allclose(linear.weight.grad, half(hidden).expand(2, 12))
    gradient = linear.weight.detach().sum(0).reshape(1, 3, 2, 2) * (conv(x) > 0)
    weight = conv.weight.detach().clone().requires_grad_()
    F.conv2d(half(x), weight).backward(gradient.detach())
    assert weight.grad is not None
    assert torch.allclose(conv.weight.grad, weight.grad, atol=1e-6)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_fedmef_extrudes_the_weights_that_are_about_to_go() -> None:
    host = server("fedmef", rounds=300)
    method = fedmef.Method(host)
    host.masks = method.init()
    request = method.client_extra(10)
    assert method.client_extra(11) == {}
    step = a_step(host.module, host.masks)
    penalty, size = 0.0, 0.0
    for (name, mask), count in zip(host.masks.items(), request["counts"], strict=True):  # type: ignore[arg-type]
        wanted = int(0.15 * (1 + math.cos(math.pi / 10)) * int(mask.sum()))
        assert count == min(wanted, int((~mask).sum()))
        weights = sorted(abs(float(w)) for w in host.module.get_parameter(name).detach()[mask])
        penalty += sum(w * w for w in weights[:count])
        size += sum(weights[:count])
    step.optimizer.param_groups[0]["lr"] = 0.001
    found = fedmef.Method.client_penalty(step, request)
    assert float(found) == pytest.approx(1e-4 * penalty)
    most = host.config.lr
    rate = (2 * 5 - 2 * 2) / (2 * 5 - 2) * (2 / (1 + math.exp(-size)) - 1) * most
    assert step.optimizer.param_groups[0]["lr"] == pytest.approx(min(most, max(0.001, rate)))


def test_fl_pqsu_keeps_the_filters_of_largest_l1_norm() -> None:
    torch.manual_seed(2)
    state = {"a": torch.randn(10, 3, 3, 3), "b": torch.randn(4, 10)}
    masks = fl_pqsu.filter_masks(state, ("a", "b"), 0.3)
    for name, kept in (("a", 3), ("b", 1)):
        norms = [float(f.abs().sum()) for f in state[name]]
        best = sorted(range(len(norms)), key=lambda i: -norms[i])[:kept]
        for i, mask in enumerate(masks[name]):
            assert bool(mask.all()) == (i in best)
            assert bool(mask.any()) == (i in best)


def test_fl_pqsu_clients_withhold_what_did_not_get_better() -> None:
    withholds = fl_pqsu.Method.withholds
    assert not withholds([3.0, 2.0, 2.5, 1.0])
    assert withholds([1.0, 1.0])
    assert withholds([1.0, 3.0, 2.0])
    assert not withholds([1.0])  # nothing to compare


def test_lotteryfl_prunes_and_rewinds_the_tickets_that_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = server("lotteryfl", density=0.5)
    method = lotteryfl.Method(host)
    host.masks = method.init()
    initial = dict(host.state)
    moved = {
        name: value + torch.randn_like(value)
        for name, value in host.state.items()
        if value.is_floating_point()
    }
    method._keep(host.state | moved)
    monkeypatch.setattr(method, "_validated", lambda clients: [(0, 5, 10), (1, 4, 10)])
    before = {name: int(mask.sum()) for name, mask in host.masks.items()}
    for turn in (1, 2, 3, 4, 5):
        method.client_extra(turn)
        state, masks = method.sent(0)
        for name, mask in masks.items():
            total = mask.numel()
            kept = max(round(0.5 * total), round(0.8 * before[name]), 1)
            assert int(mask.sum()) == kept
            order = sorted(range(total), key=lambda i: -abs(float(moved[name].reshape(-1)[i])))
            assert set(order[:kept]) == set(mask.reshape(-1).nonzero()[:, 0].tolist())
            start = initial if kept < before[name] else host.state | moved
            assert torch.equal(state[name], start[name] * mask)
            before[name] = kept
        assert all(mask.all() for mask in method.sent(1)[1].values())  # below the threshold
    updates = [
        Update(0, 30, 0.75, 0.0, masked(host.state, masks), masks, None),
        Update(1, 10, 0.25, 0.0, dict(host.state), method.ticket(1), None),
    ]
    mean = method.aggregate(updates)
    name = next(iter(masks))
    assert torch.allclose(mean[name], host.state[name])  # both hold equal weights
    vote = method.server_update(mean, updates)
    for layer, mask in vote.items():
        assert int(mask.sum()) == round((int(masks[layer].sum()) + mask.numel()) / 2)
        assert mask[masks[layer]].all()  # what both hold is in


def test_weights_that_nobody_holds_stay() -> None:
    host = server("lotteryfl")
    host.masks = {
        n: torch.ones(host.codec.shapes[n], dtype=torch.bool) for n in host.codec.prunable
    }
    name = next(iter(host.masks))
    held = {n: torch.zeros_like(m) for n, m in host.masks.items()}
    update = Update(0, 3, 1.0, 0.0, masked(host.state, held), held, None)
    otherwise = {n: v + 1 if v.is_floating_point() else v for n, v in host.state.items()}
    mean = over_holders(host, [update], otherwise)
    assert torch.equal(mean[name], otherwise[name])
