"""Reconstructions by a sine network: the paper's, and those whose outputs share the absorption of the picture."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.singlepixel.setup import Progress, Setup
from models.singlepixel.siren import choose_siren_lambda, fit_siren
from models.singlepixel.siren_heads import Head
from models.singlepixel.txm import Placed, element_weights
from models.singlepixel.variation_methods import Found, guided

_RULE = 0.16
"""Lambda where too few measurements are there to hold some out."""
_FEWEST_FOR_CHOOSING = 30
_LEAST_WEIGHT = 0.02
"""Of the largest: an element that the picture hardly shows still absorbs."""


def siren(setup: Setup, lam: float | None, progress: Progress) -> Found:
    """The paper's: a network for each element's map, its gradient matched to the picture's.

    Source: Li et al., PNAS 120 (2023), Materials and Methods.
    """
    placed = setup.pictures[0] if setup.pictures else None
    return _fitted(setup, "maps", lam, progress, placed, None, None)


def siren_simplex(setup: Setup, lam: float | None, progress: Progress) -> Found:
    """The network shares each pixel's absorption among the elements and what is inert."""
    placed, mu = _absorption(setup, progress)
    return _fitted(setup, "simplex", lam, progress, placed, mu, None)


def siren_phase(setup: Setup, lam: float | None, progress: Progress) -> Found:
    """The network shares each pixel's absorption among phases of known composition and what is inert.

    Raises:
        ValueError: no phases are known.
    """
    if setup.phases is None:
        raise ValueError("the method siren-phase needs phases: give the amount of each element in each")
    placed, mu = _absorption(setup, progress)
    return _fitted(setup, "phases", lam, progress, placed, mu, setup.phases)


def _absorption(setup: Setup, progress: Progress) -> tuple[Placed, NDArray[np.float64]]:
    """The picture without its background, and what a count of each element absorbs in it, by guided maps."""
    if not setup.pictures:
        raise ValueError("there is no TXM image whose absorption could be shared: give one, or take the method tv")
    found = guided(setup, None, progress)
    placed = found.picture or setup.pictures[0]
    weights, background = element_weights(placed.image, found.maps.cpu().numpy())
    bound = np.maximum(weights, _LEAST_WEIGHT * max(float(weights.max()), 1e-6))
    return Placed(placed.image - np.float32(background), placed.shift_px, placed.explained, placed.by_chance), (
        bound / setup.units
    )


def _fitted(
    setup: Setup,
    head: Head,
    lam: float | None,
    progress: Progress,
    placed: Placed | None,
    mu: NDArray[np.float64] | None,
    phases: NDArray[np.float64] | None,
) -> Found:
    measured = setup.measurement
    counts = np.stack([measured.counts[element] for element in measured.elements], 1)
    sigma = np.sqrt(setup.variances.T)
    image = None if placed is None else placed.image
    device = str(setup.operator.device)
    if lam is None and len(counts) < _FEWEST_FOR_CHOOSING:
        lam = _RULE
    if lam is None:
        lam = choose_siren_lambda(
            measured.patterns, counts, sigma, txm=image, head=head, phases=phases, mu=mu, seed=setup.seed,
            device=device, progress=lambda done, total: progress("lambda of siren", done / total),
        )  # fmt: skip
    fit = fit_siren(
        measured.patterns, counts, sigma, txm=image, lam=lam, head=head, phases=phases, mu=mu, seed=setup.seed,
        device=device, progress=lambda done, total: progress("maps", done / total),
    )  # fmt: skip
    maps = torch.from_numpy((fit.maps / setup.units[:, None, None]).astype(np.float32)).to(setup.operator.device)
    amounts = None if fit.phase_maps is None else fit.phase_maps
    return Found(maps, lam, picture=placed, phase_maps=amounts, render=fit.render)
