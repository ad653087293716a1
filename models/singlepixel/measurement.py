"""What a single-pixel scan measured: the patterns that lit the specimen, the counts of each, and a TXM image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Patterns = NDArray[np.float32]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PatternMeasurement:
    """N patterns and the counts of every element under each; `checked` builds one from what a file holds.

    Attributes:
        patterns: (N, y, x) intensity on the specimen, any unit; a map in counts per that unit explains the counts.
        counts: (N,) by element, of the fit of the spectra.
        variances: (N,) of the counts, by element; None: Poisson, max(counts, 1).
        txm: (y, x) absorption, -log of the transmission, any unit; None where none was taken.
        notes: what was left out, in words.
    """

    patterns: Patterns
    counts: Mapping[str, Array]
    variances: Mapping[str, Array] | None = None
    txm: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def elements(self) -> tuple[str, ...]:
        """In the order of ``counts``."""
        return tuple(self.counts)

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x)."""
        return self.patterns.shape[1], self.patterns.shape[2]

    def table(self) -> Array:
        """(N, element) counts."""
        return np.stack([np.asarray(self.counts[element], np.float64) for element in self.elements], axis=1)

    def table_variance(self) -> Array:
        """(N, element) variance of the counts."""
        if self.variances is None:
            return np.maximum(self.table(), 1.0)
        return np.stack([np.asarray(self.variances[element], np.float64) for element in self.elements], axis=1)


def checked(
    patterns: ArrayLike,
    counts: Mapping[str, ArrayLike],
    variances: Mapping[str, ArrayLike] | None = None,
    txm: ArrayLike | None = None,
) -> PatternMeasurement:
    """A measurement without the patterns that were not recorded, or whose counts are missing.

    Args:
        patterns: (N, y, x); one with a value that is not finite, or without any light, is left out.
        counts: (N,) by element; a pattern where one of them is not finite is left out.
        variances: (N,) by element, of the counts, positive; None: Poisson.
        txm: (y, x); pixels that are not finite become the median of the others.

    Raises:
        ValueError: shapes that do not belong together, no element, variances that are not positive, or nothing left.
    """
    stack = np.asarray(patterns, np.float32)
    if stack.ndim != 3 or 0 in stack.shape[1:]:
        raise ValueError(f"patterns have shape {stack.shape}: pass (N, y, x), one image per measurement")
    if not counts:
        raise ValueError("there are no counts: pass an array of one value per pattern for at least one element")
    table = {element: _per_pattern(values, len(stack), f"counts of {element}") for element, values in counts.items()}
    spread = _checked_variances(variances, table, len(stack))
    seen = np.isfinite(stack).all(axis=(1, 2)) & (np.where(np.isfinite(stack), stack, 0) != 0).any(axis=(1, 2))
    counted = np.logical_and.reduce([np.isfinite(v) for v in (*table.values(), *(spread or {}).values())])
    kept = seen & counted
    if not kept.any():
        raise ValueError(
            f"none of {len(stack)} measurements has both a pattern and counts of every element: "
            f"{int((~seen).sum())} patterns and {int((~counted).sum())} counts are missing"
        )
    image, notes = _checked_txm(txm, stack.shape[1:])
    if not kept.all():
        notes = (f"{int((~kept).sum())} of {len(stack)} measurements left out: {_missing(seen, counted)}", *notes)
    chosen = None if spread is None else {element: values[kept] for element, values in spread.items()}
    return PatternMeasurement(
        np.ascontiguousarray(stack[kept]) if not kept.all() else stack,
        {element: values[kept] for element, values in table.items()},
        chosen,
        image,
        notes,
    )


def _missing(seen: NDArray[np.bool_], counted: NDArray[np.bool_]) -> str:
    parts = [
        f"{int((~present).sum())} without {what}"
        for present, what in ((seen, "a pattern"), (counted, "counts"))
        if not present.all()
    ]
    return ", ".join(parts)


def _per_pattern(values: ArrayLike, n_patterns: int, name: str) -> Array:
    array = np.asarray(values, np.float64)
    if array.shape != (n_patterns,):
        raise ValueError(f"{name} have shape {array.shape}: ({n_patterns},) is needed, one value per pattern")
    return array


def _checked_variances(
    variances: Mapping[str, ArrayLike] | None, counts: Mapping[str, Array], n_patterns: int
) -> dict[str, Array] | None:
    if variances is None:
        return None
    if set(variances) != set(counts):
        raise ValueError(f"variances are of {sorted(variances)}, counts of {sorted(counts)}: pass the same elements")
    spread = {element: _per_pattern(variances[element], n_patterns, f"variances of {element}") for element in counts}
    for element, values in spread.items():
        if np.any(values <= 0):
            raise ValueError(
                f"variances of {element} go down to {np.nanmin(values):g}: pass positive ones, or none for Poisson"
            )
    return spread


def _checked_txm(txm: ArrayLike | None, shape: tuple[Any, ...]) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    if txm is None:
        return None, ()
    image = np.asarray(txm, np.float32)
    if image.shape != shape:
        raise ValueError(
            f"the TXM image has {image.shape} pixels, the patterns {shape}: bring it onto the patterns' pixels, "
            "or leave it out"
        )
    finite = np.isfinite(image)
    if finite.all():
        return image, ()
    if not finite.any():
        return None, ("the TXM image has no finite pixel and was left out",)
    filled = np.where(finite, image, np.median(image[finite]))
    return filled, (f"{int((~finite).sum())} pixels of the TXM image were not finite and became its median",)
