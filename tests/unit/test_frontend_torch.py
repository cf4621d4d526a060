"""torch modules become graphs that compute exactly what they compute, under stable names."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from fedtiny.compiler.calibration import (
    choose_ranges,
    merge,
    observe,
    observe_histograms,
    ranges_from_data,
)
from fedtiny.compiler.frontends.torch_module import from_sparse_model, from_torch
from fedtiny.compiler.ir import DepthwiseConv2d
from fedtiny.compiler.passes import lower, quantize
from fedtiny.compiler.reference import execute
from fedtiny.errors import UnsupportedError, UsageError
from fedtiny.models import create
from fedtiny.sparse_model import Provenance, SparseModel

F = nn.functional


def batch(shape, count=3, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def randomize(module: nn.Module, seed=0) -> nn.Module:
    """Make normalization statistics and everything else differ from their defaults."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            low = 0.2 if name.endswith("running_var") else -1.0
            value.copy_(torch.rand(value.shape, generator=generator) * (1.5 - low) + low)
            if value.dim() > 1:
                value.div_(value[0].numel() ** 0.5)
    return module.eval()


def channels_last(x: torch.Tensor) -> np.ndarray:
    return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).detach().numpy()


def check(module: nn.Module, shape, observed=True):
    """Translate, lower and observe a module; every value must agree."""
    module = randomize(module)
    x = batch(shape)
    graph = from_torch(module, shape, "net")
    expected = module(x)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for item in (graph, lower(graph)):
        ours = execute(item, {"input": channels_last(x)})
        for name, y in zip(graph.outputs, expected, strict=True):
            np.testing.assert_allclose(ours[name], channels_last(y), rtol=2e-4, atol=2e-5)
    if not observed:
        return graph
    ranges = observe(module, [x[:1], x[1:]])
    computed = ranges_from_data(graph, channels_last(x))
    for name in set(computed) - set(ranges):  # a part of a mean, whose range nobody needs
        assert graph.producer(name).op in ("average_pool2d", "concat", "unary")
    for name in set(computed) & set(ranges):
        np.testing.assert_allclose(ranges[name], computed[name], rtol=2e-4, atol=2e-5)
    return graph


class Mixed(nn.Module):
    """Everything at once: in-place operators, a module called twice, functional operators."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(8, 8, (3, 5), 1, (1, 2), groups=8)
        self.grouped = nn.Conv2d(8, 8, 3, 1, 2, dilation=2, groups=2)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 3 * 2, 7), nn.BatchNorm1d(7))

    def forward(self, x):
        x = self.act(self.norm(self.conv(x)))
        y = F.relu6(self.depthwise(x))
        y += self.grouped(x)
        y = self.act(y)
        return self.head(self.drop(F.avg_pool2d(y, 2)))


@pytest.mark.quick
def test_everything_at_once():
    graph = check(Mixed(), (3, 12, 9))
    names = [node.name for node in graph.nodes]
    expected = ["conv", "norm", "act", "depthwise", "relu6", "grouped", "add", "act_1"]
    assert names == [*expected, "avg_pool2d", "head.0", "head.1", "head.2"]
    assert graph["conv.weight"].shape == (8, 3, 3, 3)
    assert graph["depthwise.weight"].shape == (1, 3, 5, 8)
    assert isinstance(graph.nodes[3].attributes, DepthwiseConv2d)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_convolutions_of_every_geometry(data):
    groups = data.draw(st.sampled_from([1, 2, 4]))
    inputs = 4
    outputs = groups * data.draw(st.integers(1, 3))
    kernel = [data.draw(st.integers(1, 3)) for _ in range(2)]
    stride = [data.draw(st.integers(1, 2)) for _ in range(2)]
    dilation = [data.draw(st.integers(1, 2)) for _ in range(2)]
    same = stride == [1, 1] and data.draw(st.booleans())
    padding = "same" if same else [data.draw(st.integers(0, 2)) for _ in range(2)]
    bias = data.draw(st.booleans())
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
    check(nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6()), (inputs, 6, 5), observed=False)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.linear = nn.Linear(4 * 3 * 2, 5)
        self.norm = nn.BatchNorm1d(4 * 3 * 2)
        self.norm2d = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.function(self, x)


def two_branches(m, x):
    """A flattened map that is read twice and added: its order must follow it."""
    flat = torch.flatten(x, 1)
    return m.linear(F.relu(flat) + flat)


def overwrite(y):
    """The value before the in-place operator is read after it: it has changed."""
    z = F.relu_(y)
    return F.avg_pool2d(y, 2), z


def overwrite_view(y):
    flat = y.mean((2, 3))
    F.relu_(flat.view(-1, 4))
    return flat


@pytest.mark.parametrize(
    "function",
    [
        two_branches,
        lambda m, x: m.linear(x.view(x.size(0), -1)),
        lambda m, x: m.linear(x.reshape(x.shape[0], 24)),
        lambda m, x: x.mean((2, 3)),
        lambda m, x: x.mean([-1, -2], keepdim=True),
        lambda m, x: x.mean([2, 3], keepdim=True).squeeze(-1).squeeze(-1),
        lambda m, x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda m, x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        lambda m, x: m.norm2d(x) + F.relu(x),
        lambda m, x: F.relu(m.norm2d(F.relu6(x))),
        lambda m, x: (F.relu(m.norm2d(x)), F.avg_pool2d(x, 2)),
        lambda m, x: F.hardtanh(x, 0.0, 6.0).contiguous(),
        lambda m, x: F.leaky_relu(x, 0.2) * F.hardswish(x) - F.hardsigmoid(x),
        lambda m, x: torch.tanh(x) + torch.sigmoid(x) + F.silu(x),
        lambda m, x: F.relu((x + 1.0) * 0.5 - x / 3),
        lambda m, x: 1 - x,
        lambda m, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
        lambda m, x: x.mean((2, 3), keepdim=True) - x,
        lambda m, x: m.linear(x.flatten(1) * 2) + m.linear.bias,
        lambda m, x: F.max_pool2d(x, 3, 2, 1),
        lambda m, x: torch.cat([x, F.relu(x), m.norm2d(x)], 1),
        lambda m, x: F.adaptive_max_pool2d(F.max_pool2d(x, (2, 1)), 1),
        lambda m, x: torch.softmax(m.linear(x.flatten(1)), -1),
        lambda m, x: overwrite(m.norm2d(x)),
        lambda m, x: overwrite_view(m.norm2d(x)),
        lambda m, x: m.linear(F.relu_(m.norm2d(x).add_(x)).flatten(1)),
    ],
)
def test_functions(function):
    check(Function(function), (4, 3, 2))


def test_batch_norm_of_a_flattened_map_keeps_its_order():
    module = randomize(Function(lambda m, x: m.linear(m.norm(torch.flatten(x, 1)))))
    x = batch((4, 3, 2))
    graph = from_torch(module, (4, 3, 2), "net")
    ours = execute(graph, {"input": channels_last(x)})["linear"]
    np.testing.assert_allclose(ours, module(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_vector_module():
    check(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 6)), (6,))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda m, x: torch.sin(x),
            r"node 'sin': operator aten.sin.* Supported: adaptive_avg_pool1d,.* conv2d",
        ),
        (lambda m, x: torch.add(x, x, alpha=2), "'add': add and sub with a factor"),
        (lambda m, x: 1.0 / x, "'reciprocal': operator"),
        (lambda m, x: x.mean(1), "'mean': mean is supported over height and width"),
        (lambda m, x: F.hardtanh(x), "'hardtanh': hardtanh is supported from 0 to 6"),
        (lambda m, x: F.adaptive_avg_pool2d(x, 2), "'adaptive_avg_pool2d': .* uneven windows"),
        (lambda m, x: F.avg_pool2d(x, 2, divisor_override=3), "divisor_override=None"),
        (lambda m, x: F.pad(x, (1, 0, 1, 0), "reflect"), "padding by 'reflect'"),
        (lambda m, x: F.interpolate(x, 7, mode="bicubic"), "'upsample_bicubic2d': operator"),
        (lambda m, x: F.interpolate(x, scale_factor=1.3), "'upsample_nearest2d': upsample_near"),
        (lambda m, x: torch.cat([x, x], 0), "any dimension but the batch's"),
        (lambda m, x: x.permute(1, 0, 2, 3), "the batch must stay in front"),
        (lambda m, x: F.linear(x.mean((2, 3)), m.linear.weight[:, :4]), "operator aten.slice"),
        (lambda m, x: torch.softmax(x, 0), "'softmax': softmax over the batch"),
        (lambda m, x: x.reshape(x.shape[0], 2, 2, 3, 2), "two to four dimensions"),
        (lambda m, x: x if x.sum() > 0 else -x, "torch.export cannot capture it"),
        (lambda m, x: F.batch_norm(x, None, None, training=True), "running statistics"),
    ],
)
def test_what_is_not_supported_is_named(function, message):
    with pytest.raises(UnsupportedError, match=message):
        from_torch(Function(function), (4, 3, 2), "net")


def test_the_module_is_left_as_it_was():
    module = Mixed().train()
    module.drop.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    observe(module, [batch((3, 12, 9))])
    graph = from_torch(module, (3, 12, 9), "net")
    assert (module.training, module.norm.training, module.drop.training) == (True, True, False)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name])
    graph["conv.weight"].data[:] = 7  # the graph holds copies
    assert not (module.conv.weight == 7).any()


def test_observed_ranges_survive_lowering_and_unite():
    module = randomize(Mixed())
    x = batch((3, 12, 9), 8)
    graph = lower(from_torch(module, (3, 12, 9), "net"))
    parts = [observe_histograms(module, [x[:5]]), observe_histograms(module, [x[5:]])]
    whole = observe(module, [x])
    ranges = choose_ranges(merge(parts))
    assert ranges.keys() == whole.keys()
    for name, pair in ranges.items():
        assert pair == pytest.approx(whole[name])
    assert quantize(graph, ranges)["act_1"].dtype == "int8"


@pytest.mark.parametrize("batches", [[], [torch.full((1, 3, 12, 9), float("nan"))]])
def test_calibration_without_usable_data_is_refused(batches):
    with pytest.raises(UsageError, match=r"calibration"):
        observe(Mixed(), batches)


def test_nan_in_a_later_batch_is_not_hidden():
    x = batch((3, 12, 9))
    with pytest.raises(UsageError, match="not finite"):
        observe(Mixed(), [x, torch.full_like(x, float("nan"))])


@pytest.mark.quick
def test_sparse_model_keeps_zeros_and_says_its_pattern():
    module = randomize(create("resnet8", (1, 12, 12), 4))
    masks = {}
    for name, weights in module.named_parameters():
        if "conv" in name:
            masks[name] = torch.rand(weights.shape) < 0.25
            weights.data.mul_(masks[name])
    provenance = Provenance("test", "none", 0.25, 0, 0)
    model = SparseModel(
        "resnet8", (1, 12, 12), tuple("abcd"), module.state_dict(), masks, provenance
    )
    graph = lower(from_sparse_model(model))
    assert graph.name == "resnet8"
    for name, mask in masks.items():
        tensor = graph[name]
        assert not tensor.data[~mask.permute(0, 2, 3, 1).numpy()].any()
        assert not np.signbit(tensor.data[tensor.data == 0]).any()
        assert tensor.pattern.kind == "unstructured"
        assert tensor.pattern.density == pytest.approx(float(mask.float().mean()))
    assert graph["output.weight"].pattern.kind == "dense"
    x = batch((1, 12, 12))
    np.testing.assert_allclose(
        execute(graph, {"input": channels_last(x)})["output"],
        module(x).detach(),
        rtol=1e-3,
        atol=1e-4,
    )


def test_translation_is_repeatable():
    graphs = [from_torch(randomize(Mixed()), (3, 12, 9), "net") for _ in range(2)]
    assert list(graphs[0].tensors) == list(graphs[1].tensors)
    assert graphs[0].nodes == graphs[1].nodes
