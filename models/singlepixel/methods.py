"""The methods of reconstruction by name."""

from collections.abc import Callable

import numpy as np
import torch

from models.singlepixel.baselines import pseudo_inverse, ridge
from models.singlepixel.estimate import Estimate, Task
from models.singlepixel.guided import automatic, guided, total_variation
from models.singlepixel.networks import siren, siren_phase, siren_simplex

Method = Callable[[Task], Estimate]
AUTO = "auto"


def pinv_method(task: Task) -> Estimate:
    """See `models.singlepixel.baselines.pseudo_inverse`; its sigma is that of ridge."""
    sigma = None
    if task.uncertainty:
        posterior = ridge(task.measurement, uncertainty=True).sigma
        sigma = None if posterior is None else _in_units(posterior, task)
    return Estimate(torch.from_numpy(_in_units(pseudo_inverse(task.measurement), task)), "pinv", sigma=sigma)


def ridge_method(task: Task) -> Estimate:
    """See `models.singlepixel.baselines.ridge`."""
    found = ridge(task.measurement, alpha=task.lam, uncertainty=task.uncertainty)
    sigma = None if found.sigma is None else _in_units(found.sigma, task)
    return Estimate(torch.from_numpy(_in_units(found.maps, task)), "ridge", found.alpha, sigma=sigma)


def _in_units(maps: np.ndarray, task: Task) -> np.ndarray:
    return maps / task.system.units.astype(np.float32)[:, None, None]


METHODS: dict[str, Method] = {
    "pinv": pinv_method,
    "ridge": ridge_method,
    "tv": total_variation,
    "guided": guided,
    "siren": siren,
    "siren-simplex": siren_simplex,
    "siren-phase": siren_phase,
}

ANY_PIXELS = ("siren", "siren-simplex", "siren-phase")
"""Methods whose maps are functions of place."""


def method_named(name: str) -> Method:
    """The method of a name, or that chooses by itself for ``auto``.

    Raises:
        ValueError: there is no such method.
    """
    if name == AUTO:
        return automatic
    if name not in METHODS:
        raise ValueError(f"there is no method {name!r}: choose {AUTO} or one of {', '.join(METHODS)}")
    return METHODS[name]
