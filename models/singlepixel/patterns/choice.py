"""Which patterns of a set to take, where not all can be."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def choose_patterns(patterns: NDArray[np.floating], n: int) -> Indices:
    """(n,) indices of patterns that differ as much as they can, the best first.

    Each is the one that is least explained by those before it: pivoted QR of the patterns without their mean.

    Args:
        patterns: (N, y, x) light.
        n: how many to take.

    Raises:
        ValueError: there are not so many.

    Source: Businger & Golub, Numer. Math. 7 (1965) 269 (pivoting); Manohar et al., IEEE Control Syst. 38 (2018) 63 (its
    use to choose measurements).
    """
    if not 1 <= n <= len(patterns):
        raise ValueError(f"n is {n}: pass 1 to the {len(patterns)} patterns that there are")
    rows = patterns.reshape(len(patterns), -1)
    varying = (rows - rows.mean(axis=0)).astype(np.float32)
    # Of the Gram matrix's square root: the same pivots as of the patterns themselves, on N instead of M rows.
    values, vectors = scipy.linalg.eigh((varying @ varying.T).astype(np.float64))
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    pivots = scipy.linalg.qr(root, mode="r", pivoting=True)[1]
    return np.asarray(pivots[:n], np.intp)


def spread_indices(n: int, most: int) -> Indices:
    """All of n indices, or so many evenly spread ones."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.intp))
