"""Total variation alone, and guided by the transmission picture; lambda comes from measurements held out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.singlepixel.guide import guide_of, picture_noise
from models.singlepixel.setup import Progress, Setup
from models.singlepixel.total_variation import Problem, SumTerm, solve
from models.singlepixel.txm import Placed, element_weights

_GRID = {"tv": (0.06, 0.12, 0.25, 0.5, 1.0), "guided": (0.3, 0.6, 1.2)}
"""Lambda, in noise of the signals. Where the best is at an end the grid grows beyond it."""
_RULE = {"tv": 0.25, "guided": 0.6}
"""Where nothing can be held out."""
_MOST_GROWTH = 3
_N_CHOOSING, _N_FINAL = 50, 100
_MOVED_BETTER = 0.95
_SUM_STRENGTH = 0.5
"""lambda of the sum over lambda: of 0.1 to 1 the best, by little, at 1e6 and at 1e4 counts of one specimen."""


@dataclass(frozen=True, eq=False)
class Found:
    """Maps that a method found.

    Attributes:
        maps: (E, y, x) in the units of the setup.
        lam: of its penalty, in the noise of the signals for total variation; None where it has none.
        misfit: mean squared residual of measurements held out while lambda was chosen, in noise variances; NaN without.
        again: solves the same for other measurements like these; None where a method cannot.
        picture: in transmission, that it was guided by.
        notes: what people should know of it.
        phase_maps: (P, y, x) where the method knows phases.
        render: maps (E, Y, X) in counts on pixels of any size, where the method can.
    """

    maps: Tensor
    lam: float | None
    misfit: float = float("nan")
    again: Callable[[Tensor, int], Tensor] | None = None
    """Of weights (R, N) of measurements and iterations, with the picture's noise once more: (R, E, y, x)."""
    picture: Placed | None = None
    notes: tuple[str, ...] = ()
    phase_maps: NDArray[np.float32] | None = None
    render: Callable[[tuple[int, int]], NDArray[np.float32]] | None = None


def by_variation(setup: Setup, lam: float | None, progress: Progress) -> Found:
    """Total variation of each element, isotropic: knows nothing but the counts."""
    free = _Free(setup)
    return _finished(setup, free, _chosen(setup, free(None), "tv", lam, progress), progress)


def guided(setup: Setup, lam: float | None, progress: Progress) -> Found:
    """Directional total variation, coupled over the elements, and the picture as a sum of the maps where that helps.

    Raises:
        ValueError: there is no transmission picture.
    """
    if not setup.pictures:
        raise ValueError("there is no TXM image to be guided by: give one, or take the method tv")
    alone, first = _best_placed(setup, lam, progress)
    weights, background = element_weights(alone.placed.image, first.maps.cpu().numpy())
    if not weights.any():
        return _finished(setup, alone, first, progress)
    summed = replace(alone, elements=(weights, background))
    second = _chosen(setup, summed(None), "guided", lam, progress)
    if second.misfit > first.misfit:
        told = "the TXM image tells where edges are; as a sum of these elements it misleads, and is not used so"
        return _finished(setup, alone, replace(first, notes=(told,)), progress)
    return _finished(setup, summed, second, progress)


def _best_placed(setup: Setup, lam: float | None, progress: Progress) -> tuple["_Guided", Found]:
    """The picture where it explains best what was held out; it is moved only where that is clearly better."""
    tried = []
    for placed in setup.pictures:
        make = _Guided(setup, placed, picture_noise(placed.image))
        tried.append((make, _chosen(setup, make(None), "guided", lam, progress)))
    still, moved = tried[0], tried[-1]
    return moved if moved[1].misfit < _MOVED_BETTER * still[1].misfit else still


@dataclass(frozen=True, eq=False)
class _Free:
    """Makes the problem that nothing guides."""

    setup: Setup
    placed: None = None

    def __call__(self, _noise: Tensor | None) -> Problem:
        return Problem(self.setup.operator, self.setup.signals, None)


@dataclass(frozen=True, eq=False)
class _Guided:
    """Makes the problem that a picture guides, the more so where it is known as a sum of the maps."""

    setup: Setup
    placed: Placed
    noise: float
    elements: tuple[NDArray[np.float64], float] | None = None
    """Weights of the elements in the picture, and its background."""

    def __call__(self, noise: Tensor | None) -> Problem:
        """Of the picture, or of R pictures with noise (R, y, x) of deviation one put on it."""
        device = self.setup.operator.device
        pictures = torch.from_numpy(self.placed.image).to(device)[None]
        if noise is not None:
            pictures = pictures + self.noise * noise
        guide = guide_of(pictures, self.noise)
        if self.elements is None:
            return Problem(self.setup.operator, self.setup.signals, guide)
        weights, background = self.elements
        length = float(np.linalg.norm(weights))
        direction = torch.from_numpy((weights / length).astype(np.float32)).to(device)
        sums = SumTerm(direction, (pictures - background) / length, _SUM_STRENGTH)
        return Problem(self.setup.operator, self.setup.signals, guide, sums)


def _chosen(setup: Setup, problem: Problem, kind: str, lam: float | None, progress: Progress) -> Found:
    """The best lambda of a grid by the measurements held out, and its maps without them."""
    if lam is not None or not setup.can_hold_out:
        value = _RULE[kind] if lam is None else lam
        maps = _without_held_out(setup, problem, [value])
        misfit = float(setup.misfits(maps)[0].mean()) if setup.can_hold_out else float("nan")
        return Found(maps[0, 0], value, misfit)
    grid, found = list(_GRID[kind]), dict[float, tuple[NDArray[np.float64], Tensor]]()
    for growth in range(_MOST_GROWTH + 1):
        progress(f"lambda of {kind}", growth / (_MOST_GROWTH + 1))
        maps = _without_held_out(setup, problem, grid)
        found |= {value: (rows, one[0]) for value, rows, one in zip(grid, setup.misfits(maps), maps, strict=True)}
        best = _simplest({value: rows for value, (rows, _) in found.items()})
        if min(found) < best < max(found):
            break
        grid = [best * 2 if best == max(found) else best / 2]
    return Found(found[best][1], best, float(found[best][0].mean()))


def _without_held_out(setup: Setup, problem: Problem, grid: list[float]) -> Tensor:
    """(R, F, E, y, x) maps by lambda and by what is held out."""
    n_times = len(setup.trained)
    lam = _several(grid, setup).repeat_interleave(n_times)
    maps = solve(problem, lam, setup.trained.repeat(len(grid), 1), _N_CHOOSING)
    return maps.reshape(len(grid), n_times, *maps.shape[1:])


def _simplest(misfits: dict[float, NDArray[np.float64]]) -> float:
    """The largest lambda that is not worse than the best by more than chance, which some measurements leave to it.

    Args:
        misfits: (row,) squared residuals of measurements held out, by lambda.
    """
    best = min(misfits, key=lambda value: float(misfits[value].mean()))

    def is_as_good(value: float) -> bool:
        worse = misfits[value] - misfits[best]
        return bool(worse.mean() <= worse.std() / len(worse) ** 0.5)

    return max(value for value in misfits if value == best or is_as_good(value))


def _finished(setup: Setup, make: _Free | _Guided, chosen: Found, progress: Progress) -> Found:
    """With all measurements."""
    progress("maps", 0.0)
    lam = _RULE["tv"] if chosen.lam is None else chosen.lam
    maps = solve(make(None), _several([lam], setup), setup.everything, _N_FINAL, chosen.maps[None])[0]

    def again(weights: Tensor, n_iterations: int) -> Tensor:
        rng = torch.Generator(device=weights.device).manual_seed(setup.seed)
        noise = torch.randn((len(weights), *setup.operator.shape), generator=rng, device=weights.device)
        start = maps.expand(len(weights), -1, -1, -1)
        return solve(make(noise), _several([lam] * len(weights), setup), weights, n_iterations, start)

    return replace(chosen, maps=maps, lam=lam, again=again, picture=make.placed)


def _several(values: list[float], setup: Setup) -> Tensor:
    """In the units of the setup."""
    return torch.tensor(values, dtype=torch.float32, device=setup.operator.device) * setup.noise
