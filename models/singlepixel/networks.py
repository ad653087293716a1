"""The methods that are networks: the paper's, and those whose output is shares of the TXM image's absorption."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.singlepixel.estimate import Estimate, Task
from models.singlepixel.guided import absorption_of, pixels_beside
from models.singlepixel.heads import Head, NonNegative, Simplex, element_simplex, phase_simplex
from models.singlepixel.holdout import LEAST_PATTERNS, held_out_weights
from models.singlepixel.network_fit import MATCHING, SHARING, EdgeMatch, fitted
from models.singlepixel.phases import stoichiometry_of
from models.singlepixel.siren import Siren, places
from models.singlepixel.uncertainty import sigma_beside
from models.singlepixel.whitening import binned_rows, whitened

LAMBDAS = (0.1, 0.25, 0.6, 1.5)
"""Of the edge match, tried on held-out measurements; 0.25 is best at 1e6 counts, 0.6 at 1e4 (two cathodes)."""
_MIDDLE = 0.4
_COARSE_PX = 40  # lambda is chosen on pixels that make the field about so many wide: it does not depend on them
_COARSE_STEPS = 80
_HOLD_OUT = 1


@dataclass(frozen=True, eq=False)
class _Edges:
    """What the TXM image gives to the edge match, before its weight is known."""

    image: Tensor
    shares: Tensor

    def match(self, lam: float, bin_px: int = 1) -> EdgeMatch:
        image = avg_pool2d(self.image[None, None], bin_px)[0, 0] if bin_px > 1 else self.image
        return EdgeMatch(image, self.shares, lam)


def siren(task: Task) -> Estimate:
    """The paper's: a network whose edges match those of the TXM image, for all elements at once.

    Source: Li et al., PNAS 120 (2023) e2314542120, Materials and Methods.
    """
    system, edges = task.system, _edges(task)
    head = NonNegative(len(system.units))
    lam, notes = (task.lam, ()) if task.lam is not None else _chosen(task, head, edges)
    network = _fitted(task, head, edges.match(lam), "siren")
    return _estimate(task, network, head, "siren", lam, notes)


def siren_simplex(task: Task) -> Estimate:
    """A network of each element's share of the absorption, and of an inert rest."""
    weights, absorption = absorption_of(task)
    head = element_simplex(weights, absorption)
    return _estimate(task, _fitted(task, head, None, "siren-simplex"), head, "siren-simplex")


def siren_phase(task: Task) -> Estimate:
    """A network of each phase's share of the absorption, and of an inert rest.

    Raises:
        ValueError: no phases were given, or one does not absorb.
    """
    if not task.phases:
        raise ValueError("siren-phase needs phases: pass the stoichiometry of each, or take siren-simplex")
    stoichiometry = stoichiometry_of(task.phases, task.measurement.elements) / task.system.units
    weights, absorption = absorption_of(task)
    head = phase_simplex(stoichiometry, weights, absorption)
    network = _fitted(task, head, None, "siren-phase")
    found = _estimate(task, network, head, "siren-phase")
    return replace(found, phase_maps=_phase_maps(task, network, head, weights))


def _estimate(
    task: Task, network: Siren, head: Head, name: str, lam: float | None = None, notes: tuple[str, ...] = ()
) -> Estimate:
    images, sigma = _maps(task, network, head), None
    if task.uncertainty:
        beside, of_beside = pixels_beside(task)
        sigma = sigma_beside(images, beside, of_beside)
    return Estimate(images, name, lam, notes, sigma=sigma)


def _phase_maps(task: Task, network: Siren, head: Simplex, weights: np.ndarray) -> np.ndarray:
    """(phase, y, x) amounts: the absorption by a phase over that of its unit."""
    assert task.phases is not None
    shape = task.shape or task.system.operator.shape
    with torch.no_grad():
        classes = head.classes(network(places(shape, task.system.operator.device)), shape)[:, :-1]
    per_unit = stoichiometry_of(task.phases, task.measurement.elements) / task.system.units @ weights
    amounts: np.ndarray = classes.T.double().cpu().numpy().reshape(-1, *shape) / per_unit[:, None, None]
    return amounts


def _edges(task: Task) -> _Edges:
    """Shares by regression of the counts on what the patterns would count of the image."""
    system, image = task.system, task.txm.guide.image
    seen, counts = system.operator.forward(image)[:-1], system.values[:-1]
    return _Edges(image, (seen @ counts) / seen.square().sum().clamp_min(1e-30))


def _fitted(task: Task, head: Head, edges: EdgeMatch | None, name: str) -> Siren:
    rows, _ = binned_rows(task.system.operator)
    white = whitened(task.system, rows, torch.ones(len(rows), dtype=torch.bool, device=rows.device))
    recipe = SHARING if edges is None else MATCHING
    return fitted(white, head, edges, recipe, task.seed, told=partial(task.told, f"fitting {name}"))


def _maps(task: Task, network: Siren, head: Head) -> Tensor:
    shape = task.shape or task.system.operator.shape
    with torch.no_grad():
        maps: Tensor = head(network(places(shape, task.system.operator.device)), shape)
    return maps.T.reshape(-1, *shape)


def _chosen(task: Task, head: Head, edges: _Edges) -> tuple[float, tuple[str, ...]]:
    """The lambda whose coarse maps explain held-out measurements best.

    Its maps lie 0 to 1.5 dB below those of the table's best lambda (0.7 on average; three cathodes of 48x48 pixels, 160
    patterns, 1e4 and 1e6 counts), 0 to 0.4 of one of 80x80 and 320: lambda is too small for few counts, too large for
    many.
    """
    system, n_patterns = task.system, len(task.measurement.patterns)
    if n_patterns < LEAST_PATTERNS:
        return _MIDDLE, (f"{n_patterns} measurements are too few to hold any out: lambda is {_MIDDLE}",)
    bin_px = max(1, round(min(system.operator.shape) / _COARSE_PX))
    rows, shape = binned_rows(system.operator, bin_px)
    kept = held_out_weights(n_patterns, task.rng(_HOLD_OUT)).to(rows.device).amin(0) > 0
    white, recipe = whitened(system, rows, kept), replace(MATCHING, steps=_COARSE_STEPS)
    scores = []
    for number, lam in enumerate(LAMBDAS):
        network = fitted(white, head, edges.match(lam, bin_px), recipe, task.seed)
        with torch.no_grad():
            missed = rows.flatten(1)[~kept] @ head(network(places(shape, rows.device)), shape) - system.values[~kept]
        scores.append(float(missed.square().mean(0).log().mean()))
        task.told("choosing lambda of siren", (number + 1) / len(LAMBDAS))
    return LAMBDAS[int(np.argmin(scores))], ()
