"""How well a score tells two kinds of samples apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def auc(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> float | None:
    """Area under the ROC curve: the chance that an odd sample scores above a normal one.

    Args:
        scores: `(N,)`.
        labels: `(N,)`; 0 is normal, anything else is odd.

    Returns:
        None where all samples are of one kind.
    """
    odd = labels != 0
    count, normal = int(odd.sum()), int((~odd).sum())
    if not count or not normal:
        return None
    ranks = stats.rankdata(scores.astype(np.float64))
    return float((ranks[odd].sum() - count * (count + 1) / 2) / (count * normal))
