"""Which of many patterns to take: those that measure what the others do not."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray


def choose_patterns(patterns: NDArray[np.floating], n: int) -> NDArray[np.intp]:
    """Indices of ``n`` patterns (of N, y, x), the most telling first.

    Each is the one that is farthest from all combinations of those before it: pivoted orthogonalisation, here as the
    pivoted Cholesky factor of the patterns' Gram matrix.

    Raises:
        ValueError: more patterns are asked for than there are.
    """
    if not 1 <= n <= len(patterns):
        raise ValueError(f"{n} patterns are asked for and {len(patterns)} there: ask for 1 to {len(patterns)}")
    rows = patterns.reshape(len(patterns), -1).astype(np.float64)
    centred = rows - rows.mean(0) if len(rows) > 1 else rows
    gram = centred @ centred.T
    _, order, _, _ = scipy.linalg.lapack.dpstrf(gram)
    return np.asarray(order[:n] - 1, np.intp)
