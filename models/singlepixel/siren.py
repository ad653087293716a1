"""Element maps as a sine network of place, fitted to one measurement with the transmission image at hand.

Source: Li et al., PNAS 120 (2023), Materials and Methods: ||A f - y||^2 + lambda ||grad f - grad I||_1, here on
whitened patterns, with the image scaled to each element.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from numpy.typing import NDArray

from models.singlepixel.siren_heads import Head, Reading, make_reading
from models.singlepixel.siren_network import HIDDEN_RATE, Weights, evaluate, places, start_weights
from models.singlepixel.whitening import Whitened, noise_shares, whiten

Maps = NDArray[np.float32]
Signals = NDArray[np.floating]
Progress = Callable[[int, int], None]

STEPS = 300
LAMBDAS = (0.06, 0.16, 0.4, 1.0)
"""From where the data rule to where the image does, at 1e6 to 1e4 counts."""
_SHORT_STEPS = 100
_HELD_OUT = 0.1  # of the measurements
_LEAST_HELD_OUT = 20
_LEAST_KEPT = 10
_RATE = 2e-3  # Adam's
_LAST_RATE = 0.05  # of it, at the end of the cosine
_LEVEL = 0.15  # an element's mean in the network's units
_AT_ONCE = 1 << 18  # places of an evaluation


@dataclass(frozen=True, eq=False)
class SirenFit:
    """Outcome of a fit.

    Attributes:
        maps: (E, y, x) in what a signal is per unit of light, on the pixels of the patterns; never negative.
        phase_maps: (P, y, x) units of each phase; None unless the head is 'phases'.
        losses: (step,) what was minimised.
    """

    maps: Maps
    phase_maps: Maps | None
    losses: NDArray[np.float32]
    _weights: Weights
    _reading: Reading
    _unit: NDArray[np.float64]

    def render(self, shape: tuple[int, int]) -> Maps:
        """(E, Y, X) over the same field on pixels of any size, in units per pixel of the patterns.

        Raises:
            ValueError: a side is below one pixel.
        """
        if min(shape) < 1:
            raise ValueError(f"the shape is {shape}: at least one pixel a side is needed")
        return _rendered(self._weights, self._reading, self._unit, shape)[0]


def fit_siren(
    patterns: NDArray[np.floating],
    signals: Signals,
    sigma: Signals,
    *,
    txm: NDArray[np.floating] | None,
    lam: float,
    head: Head = "maps",
    phases: NDArray[np.floating] | None = None,
    mu: NDArray[np.floating] | None = None,
    whitened: Whitened | None = None,
    seed: int = 0,
    steps: int = STEPS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SirenFit:
    """Fit all elements at once; the same outcome for the same seed on the same machine.

    Args:
        patterns: (N, y, x) light on each pixel.
        signals: (N, E) of the detector; each element counts alike, whatever its unit.
        sigma: (N, E) standard deviation of their noise.
        txm: (y, x) absorption, -log of transmission, on the pixels of the patterns. None: maps are held smooth instead.
        lam: weight of the gradient match ('maps') or of the total variation of shares; both terms are about 1 then.
        head: 'maps' is the paper's; 'simplex' shares absorption among elements and what is inert, 'phases' likewise.
        phases: (P, E) amount of each element in a unit of each phase.
        mu: (E,) absorption of a unit of each element's map.
        whitened: of the same patterns, where several fits share it.
        seed: of the network's start.
        steps: of Adam.
        device: of torch.
        progress: called with steps done and steps in all; what it raises ends the fit.

    Raises:
        ValueError: shapes differ, values are no numbers, lam is negative, or the head needs what is not given.
    """
    checked = _checked(patterns, signals, sigma, lam, steps)
    white = whitened or whiten(patterns, noise_shares(checked, sigma))
    unit = _units(patterns, checked)
    reading = make_reading(head, patterns, checked, unit, txm, phases, mu, device)
    rows = torch.from_numpy(white.rows).to(device)
    read = torch.from_numpy(np.ascontiguousarray(white.signals(checked / unit).T)).to(device)
    weights = start_weights(reading.n_outputs, max(white.shape), seed, device)
    losses = _descend(weights, reading, white.shape, rows, read, lam, steps, progress)
    maps, phase_maps = _rendered(weights, reading, unit, white.shape)
    return SirenFit(maps, phase_maps, losses, weights, reading, unit)


def choose_siren_lambda(
    patterns: NDArray[np.floating],
    signals: Signals,
    sigma: Signals,
    *,
    txm: NDArray[np.floating] | None,
    head: Head = "maps",
    phases: NDArray[np.floating] | None = None,
    mu: NDArray[np.floating] | None = None,
    candidates: tuple[float, ...] = LAMBDAS,
    seed: int = 0,
    steps: int = _SHORT_STEPS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> float:
    """The weight whose short fit to nine tenths of the measurements foretells the others best; see `fit_siren`.

    Elements are judged jointly by the likelihood of normal errors of unknown width, the sum of log mean squares, so
    that none counts more for its unit.

    Raises:
        ValueError: there are too few measurements to hold some out, no candidates, or as `fit_siren`.
    """
    n_held = max(_LEAST_HELD_OUT, round(_HELD_OUT * len(patterns)))
    if not candidates or len(patterns) < n_held + _LEAST_KEPT:
        raise ValueError(
            f"{len(patterns)} measurements and {len(candidates)} candidates: at least {_LEAST_HELD_OUT + _LEAST_KEPT} "
            "measurements and one candidate are needed, or pass a lambda to fit_siren"
        )
    order = np.random.default_rng(seed).permutation(len(patterns))
    held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
    some, of_some, noise = patterns[kept], signals[kept], sigma[kept]
    white = whiten(some, noise_shares(of_some, noise))
    flat = np.asarray(patterns[held], np.float32).reshape(n_held, -1)
    scores = []
    for done, lam in enumerate(candidates):
        fit = fit_siren(
            some, of_some, noise, txm=txm, lam=lam, head=head, phases=phases, mu=mu, whitened=white, seed=seed,
            steps=steps, device=device,
        )  # fmt: skip
        missed = signals[held] - flat @ fit.maps.reshape(len(fit.maps), -1).T
        scores.append(float(np.log(np.maximum((missed**2).mean(0), np.finfo(np.float64).tiny)).sum()))
        if progress is not None:
            progress(done + 1, len(candidates))
    return candidates[int(np.argmin(scores))]


def _descend(
    weights: Weights,
    reading: Reading,
    shape: tuple[int, int],
    rows: torch.Tensor,
    read: torch.Tensor,
    lam: float,
    steps: int,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Fits the weights in place."""
    at = places(shape, str(rows.device))
    power = float((read**2).sum()) or 1.0
    for weight in weights:
        weight.requires_grad_()
    rates = ((weights[:-2], HIDDEN_RATE * _RATE), (weights[-2:], _RATE))
    optimiser = torch.optim.Adam([{"params": params, "lr": rate, "base": rate} for params, rate in rates])
    losses = torch.empty(steps, device=rows.device)
    for step in range(steps):
        fraction = _LAST_RATE + (1 - _LAST_RATE) * (1 + cos(pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * fraction
        activated = reading.activated(evaluate(weights, at))
        misfit = (reading.maps(activated, shape) @ rows.T - read).square().sum() / power
        loss = misfit + lam * reading.penalty(activated) if lam else misfit
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses[step] = loss.detach()
        if progress is not None:
            progress(step + 1, steps)
    for weight in weights:
        weight.requires_grad_(False)
    return np.asarray(losses.cpu().numpy(), np.float32)


@torch.no_grad()
def _rendered(
    weights: Weights, reading: Reading, unit: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[Maps, Maps | None]:
    device = str(weights[0].device)
    parts = torch.split(places(shape, device), _AT_ONCE, dim=1)
    activated = torch.cat([reading.activated(evaluate(weights, part)) for part in parts], 1)
    maps = reading.maps(activated, shape).cpu().numpy().reshape(-1, *shape) * unit[:, None, None]
    phases = reading.phase_maps(activated, shape)
    return maps.astype(np.float32), None if phases is None else phases.cpu().numpy().reshape(-1, *shape)


def _units(patterns: NDArray[np.floating], signals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(E,) of maps, so that their mean is about `_LEVEL` and outputs of the network start near it."""
    light = float(patterns.sum(dtype=np.float64)) / len(patterns)
    level = np.maximum(signals.mean(0), signals.std(0)) / light
    return np.where(level > 0, level, 1.0) / _LEVEL


def _checked(
    patterns: NDArray[np.floating], signals: Signals, sigma: Signals, lam: float, steps: int
) -> NDArray[np.float64]:
    if patterns.ndim != 3 or not patterns.size:
        raise ValueError(f"patterns have shape {patterns.shape}: (pattern, y, x) is needed")
    if signals.ndim != 2 or len(signals) != len(patterns) or not signals.size:
        raise ValueError(
            f"signals have shape {signals.shape} for {len(patterns)} patterns: (pattern, element) is needed"
        )
    if sigma.shape != signals.shape:
        raise ValueError(f"sigma has shape {sigma.shape}, signals {signals.shape}: pass one for each")
    if not np.isfinite(signals).all() or not np.isfinite(sigma).all():
        raise ValueError("signals or sigma hold values that are no numbers: leave those patterns out")
    if not (np.isfinite(lam) and lam >= 0) or steps < 1:
        raise ValueError(f"lam is {lam} and steps {steps}: lam must be 0 or more, steps 1 or more")
    return np.asarray(signals, np.float64)
