"""Enhancement by a trained network, behind the same contract as the linear estimates."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, lru_cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.physics.flyscan import matched_kernel
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.bicubic import BicubicEnhancer
from models.superres.coarse import CoarseMap, coarse_maps, peak_counts
from models.superres.consistency import consistency
from models.superres.enhancer import Calibration, EnhancedMaps, check_scale, factor_at
from models.superres.lmmse import LmmseEnhancer
from models.superres.networks.measured import Measured
from models.superres.networks.precision import Precision, PrecisionName, choose_precision, run_network
from models.superres.networks.weights import TrainedNetwork, load_weights
from models.superres.pairs.simulate import full_scale
from models.superres.probe_range import outside
from models.xrf.maps import ElementMaps

_PARTS = ("values", "variance", "measured")
_AT_ONCE_POINTS = 40_000  # coarse points of one batch: keeps memory near one gigabyte


Maps = NDArray[np.float32]


class NetworkEnhancer:
    """Runs a network on every element by itself; elements never meet.

    Weights are loaded, and numbers chosen, at the first map.

    Args:
        weights: name of weights that come with subprobe, or path of others.
        device: of torch; several with commas share the elements of a call: "cuda:0,cuda:1".
        precision: "auto" tries bfloat16 once.
    """

    def __init__(self, weights: str, device: str = "cpu", precision: PrecisionName = "auto") -> None:
        self._weights = weights
        self._devices = device.split(",")
        self._wish: PrecisionName = precision

    @property
    def name(self) -> str:
        """As in settings; of weights in a file, the file's name without its ending."""
        return Path(self._weights).stem

    @property
    def digest(self) -> str:
        """Of weights and calibration."""
        return self._trained.digest

    @property
    def calibration(self) -> Calibration:
        """By the card."""
        return self._trained.card.calibration

    @cached_property
    def _trained(self) -> TrainedNetwork:
        return load_weights(self._weights, self._devices[0])

    @property
    def _scales(self) -> tuple[int, ...]:
        config: Any = self._trained.module.config
        return config.scales if hasattr(config, "scales") else (config.scale,)

    @cached_property
    def _modules(self) -> tuple[nn.Module, ...]:
        """One on each device."""
        others = [deepcopy(self._trained.module).to(device) for device in self._devices[1:]]
        return (self._trained.module, *others)

    @lru_cache  # noqa: B019 one or two scales in the life of an enhancer
    def _precision(self, scale: int) -> Precision:
        return choose_precision(self._modules[0], scale, self._devices[0], self._wish)

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """Enhance every element by an integer scale; linearly, with a remark, by one that the network has not learned.

        Raises:
            ValueError: scale is below 1, or an element was measured nowhere.
        """
        check_scale(scale)
        if scale not in self._scales:
            learned = ", ".join(str(known) for known in self._scales)
            remark = f"{self.name} enhances by {learned}, not by {scale}: this is the linear estimate, lmmse"
            return replace(LmmseEnhancer().enhance(coarse, probe, motion, scale), remarks=(remark,))
        known = matched_kernel(probe, coarse.pixel_size_nm, scale, motion)
        maps = list(coarse_maps(coarse))
        at_once = max(1, min(_AT_ONCE_POINTS // coarse.mask.size, -(-len(maps) // len(self._devices))))
        batches = [maps[first : first + at_once] for first in range(0, len(maps), at_once)]
        precision = self._precision(scale)
        with ThreadPoolExecutor(len(self._devices)) as threads:
            jobs = [
                threads.submit(self._enhanced, batch, torch.from_numpy(known), scale, index % len(self._devices))
                for index, batch in enumerate(batches)
            ]
            results = [job.result() for job in jobs]
        values = np.concatenate([values for values, _ in results])
        sigmas = [sigma for _, sigma in results if sigma is not None]
        factors = [factor_at(self.calibration.sigma, peak_counts(element)) for element in maps]
        return EnhancedMaps(
            elements=coarse.elements,
            values=values,
            # The papers' networks have none of their own.
            sigma=np.array(factors, np.float32)[:, None, None]
            * (np.concatenate(sigmas) if sigmas else BicubicEnhancer().enhance(coarse, probe, motion, scale).sigma),
            consistency=consistency(values, coarse, probe, motion, scale),
            pixel_size_nm=coarse.pixel_size_nm / scale,
            remarks=self._remarks(known, scale),
            computed_on=f"{','.join(self._devices)}, {precision}",
        )

    def _remarks(self, kernel: Maps, scale: int) -> tuple[str, ...]:
        trained_for = self._trained.card.probe_range
        remark = outside(kernel, scale, trained_for) if trained_for else ""
        return (remark,) if remark else ()

    @torch.inference_mode()
    def _enhanced(self, maps: list[CoarseMap], kernel: Tensor, scale: int, place: int) -> tuple[Maps, Maps | None]:
        """Values and sigma without its factor, (element, y, x), by the device at that place."""
        device = self._devices[place]
        readings, variance, mask = (_batch([getattr(element, part) for element in maps], device) for part in _PARTS)
        unit = full_scale(readings, variance)
        told = kernel.to(device)[None].expand(len(maps), -1, -1)
        measured = Measured(readings / unit, variance / unit**2, mask, told, scale)
        bfloat16 = self._precision(scale).bfloat16
        fine, log_scale = run_network(self._modules[place], measured, bfloat16=bfloat16)
        values = (fine * unit)[:, 0].cpu().numpy()
        if log_scale is None:
            return values, None
        laplace = (torch.exp(log_scale) * unit)[:, 0].cpu().numpy()
        return values, np.float32(sqrt(2)) * laplace


def _batch(maps: list[NDArray[Any]], device: str) -> Tensor:
    return torch.from_numpy(np.stack(maps)[:, None].astype(np.float32)).to(device)
