"""Datasets and non-IID partitioning."""

from fedtiny.data.dataset import Dataset
from fedtiny.data.load import dataset_names, load_dataset
from fedtiny.data.split import ClientIndices, Split, split

__all__ = ["ClientIndices", "Dataset", "Split", "dataset_names", "load_dataset", "split"]
