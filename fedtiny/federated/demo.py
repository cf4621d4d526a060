"""The demo's training run."""

from __future__ import annotations

from fedtiny.federated.config import TrainConfig


def demo_config() -> TrainConfig:
    """Ten clients train a sparse ResNet-8 on the shipped part of Fashion-MNIST."""
    return TrainConfig(
        data="fashion-mnist-mini",
        model="resnet8",
        method="fedtiny",
        density=0.1,
        clients=10,
        alpha=0.5,
        rounds=16,
        local_epochs=1,
        lr=0.05,
        batch=32,
    )
