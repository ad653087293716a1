"""Our network: exact data steps with the probe's kernel, and between them a convolutional prior on the coarse grid."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.superres.networks.data_step import correction, read_by_scan, transfer
from models.superres.networks.map_prior import fitted_spectrum
from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction

_PLANES = 4  # beside the fine map's phases: readings, their noise, residual in units of noise, mask
_NOISE_GAIN = 4.0  # brings the noise of usual maps near 1
_RESIDUAL_GAIN = 0.3
_LEAST_SIGMA = 1e-2
_REFERENCE_SCALE = 4  # frequencies are counted in cycles per quarter of a step at any scale
_PRIOR_SEEN_AT = (0.25, 1.0)  # cycles per step
_FILLING_ROUNDS = 2
_LOG_SCALE_START = -3.0
_TILE_PX = 192  # coarse pixels; maps of 140 x 140 go in one piece


@dataclass(frozen=True)
class UnrolledConfig:
    """Sizes of an `Unrolled` network.

    Attributes:
        n_stages: of a data step and a prior each.
        n_blocks: residual blocks of a prior.
        channels: of a block; multiples of 64 run fastest.
        scales: that it can enhance by, each with input and output layers of its own.
        pad: coarse pixels by which a map is mirrored at its border.
    """

    n_stages: int = 3
    n_blocks: int = 4
    channels: int = 64
    scales: tuple[int, ...] = (2, 3, 4)
    pad: int = 4


class Unrolled(nn.Module):
    """Stages of an exact least mean-square data step and a small convolutional network, for any probe.

    The first data step starts from the map's mean, under the power law that fits the map itself: it gives the linear
    estimate. Each later one starts from what the stage before it made and needs the spectrum of the error there, three
    learned numbers a stage that also follow noise, contrast and the power law. Networks see every
    fine map folded to the coarse grid (pixel-unshuffle), the readings, their noise, the residual in units of noise and
    which points were measured. A point without a measurement has no residual: what stands there is what the stages
    make of its surroundings. The mean residual is added at the end, so that the map keeps the flux that was measured.

    The default has 1.037 M parameters for three scales; at scale 4 a 140 x 140 map takes 21.2 GMAC.

    Source: unrolled half-quadratic splitting, Zhang et al., CVPR 2020 (USRNet), here with a closed-form step that
    folds the aliasing of the decimation.
    """

    def __init__(self, config: UnrolledConfig) -> None:
        super().__init__()
        self.config = config
        stages = range(config.n_stages)
        self.priors = nn.ModuleList([_Prior(config) for _ in stages])
        self.log_power = nn.Parameter(torch.tensor([0.0 if stage == 0 else -4.0 for stage in stages]))
        self.log_corner = nn.Parameter(torch.full((config.n_stages - 1,), -2.0))
        self.exponent = nn.Parameter(torch.ones(config.n_stages - 1))
        self.sensitivity = nn.Parameter(torch.zeros(config.n_stages, 4))
        self.uncertainty = _UncertaintyHead(config)

    def spectrum_parameters(self) -> list[nn.Parameter]:
        """The few numbers of the error spectra, which need a larger learning rate than weights."""
        return [self.log_power, self.log_corner, self.exponent, self.sensitivity]

    def forward(self, measured: Measured) -> Prediction:
        """Enhance a batch of maps.

        Raises:
            ValueError: a scale that the network has no layers for.
        """
        scale = measured.scale
        if scale not in self.config.scales:
            raise ValueError(f"scale is {scale}: this network was built for {self.config.scales}")
        scene = _Scene(measured, self.config.pad)
        fine = scene.mean.expand(-1, -1, *scene.fine_shape)
        stages, linear = [], fine
        for stage, prior in enumerate(self.priors):
            change, left = scene.data_step(fine, self._error_spectrum(stage, scene), first=stage == 0)
            fine = fine + change
            if stage == 0:
                linear = scene.cropped(fine.detach())
            fine = fine + prior(scene.planes(fine, left), scale)
            stages.append(scene.cropped(fine))
        fine, left = scene.with_measured_mean(fine)
        log_scale = self.uncertainty(scene.planes(fine.detach(), left.detach()), scale)
        return Prediction(scene.cropped(fine), scene.cropped(log_scale), tuple(stages[:-1]), linear)

    def _error_spectrum(self, stage: int, scene: "_Scene") -> Tensor:
        log_power = self.log_power[stage] + (self.sensitivity[stage] * scene.features).sum(-1)
        strength = torch.exp(log_power)[:, None, None, None]
        if stage == 0:
            return strength * scene.prior
        corner = torch.exp(2 * self.log_corner[stage - 1])
        shape = ((scene.squared_frequency + corner) / 0.01) ** -self.exponent[stage - 1].clamp(0, 4)
        return strength * shape


class _Scene:
    """One batch of maps, mirrored at its borders, with everything about its scan that stages share; float32."""

    def __init__(self, measured: Measured, pad: int) -> None:
        self._pad = pad
        self.scale = scale = measured.scale
        planes = (measured.readings, measured.variance, measured.mask)
        self.readings, variance, self.mask = (_mirrored(plane.float(), pad) for plane in planes)
        height, width = self.readings.shape[-2:]
        self.fine_shape = (scale * height, scale * width)
        self._transfer = transfer(measured.kernel.float(), scale, self.fine_shape)
        weight = self.mask / self.mask.sum((2, 3), keepdim=True).clamp_min(1)
        self._weight = weight
        self.mean = (weight * self.readings).sum((2, 3), keepdim=True)
        self._noise = (weight * variance).sum((2, 3), keepdim=True) + 1e-7
        contrast = (weight * (self.readings - self.mean) ** 2).sum((2, 3), keepdim=True)
        self.squared_frequency = _squared_frequency(self.fine_shape, scale, self.readings.device)
        self.prior = fitted_spectrum(
            measured.readings.float(),
            measured.variance.float(),
            self._transfer,
            _REFERENCE_SCALE**2 * self.squared_frequency,
            scale,
        )
        parts = [self._noise, contrast + 1e-4, *(self._prior_at(f) + 1e-7 for f in _PRIOR_SEEN_AT)]
        self.features = torch.stack(parts, -1).log().view(-1, len(parts)) / 5
        self._sigma = variance.clamp_min(0).sqrt()
        self._holed = not bool((self.mask > 0).all())

    def _prior_at(self, cycles_per_step: float) -> Tensor:
        column = round(cycles_per_step * self.prior.shape[-1] / self.scale)
        return self.prior[..., :1, column : column + 1]

    def data_step(self, fine: Tensor, power: Tensor, *, first: bool) -> tuple[Tensor, Tensor]:
        """Change of the fine map and the residual left.

        In the first step a hole takes its filling for a reading, then, round by round, what the estimate itself would
        read there: expectation-maximisation, which ends where the hole has no say.
        """
        if not first:
            residual = self.mask * (self.readings - read_by_scan(fine, self._transfer, self.scale))
            return correction(residual, power, self._transfer, self._noise, self.scale)
        residual = self.readings - self.mean
        change, left = correction(residual, power, self._transfer, self._noise, self.scale)
        for _ in range(_FILLING_ROUNDS if self._holed else 0):
            guessed = read_by_scan(change, self._transfer, self.scale)
            residual = self.mask * residual + (1 - self.mask) * guessed
            change, left = correction(residual, power, self._transfer, self._noise, self.scale)
        return change, left

    def planes(self, fine: Tensor, left: Tensor) -> Tensor:
        """(B, s*s + 4, y, x): what the networks see."""
        phases = functional.pixel_unshuffle(fine, self.scale)
        whitened = _RESIDUAL_GAIN * self.mask * left / (self._sigma + _LEAST_SIGMA)
        return torch.cat([phases, self.readings, _NOISE_GAIN * self._sigma, whitened, self.mask], 1)

    def with_measured_mean(self, fine: Tensor) -> tuple[Tensor, Tensor]:
        """The map moved by its mean residual, and the residual then."""
        residual = self.mask * (self.readings - read_by_scan(fine, self._transfer, self.scale))
        offset = (self._weight * residual).sum((2, 3), keepdim=True)
        return fine + offset, residual - self.mask * offset

    def cropped(self, fine: Tensor) -> Tensor:
        """A fine map without what was mirrored."""
        border = self.scale * self._pad
        return fine[..., border : fine.shape[-2] - border, border : fine.shape[-1] - border]


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = features + self.second(functional.relu(self.first(features)))
        return result


class _Prior(nn.Module):
    """Planes on the coarse grid to a change of the fine map."""

    def __init__(self, config: UnrolledConfig) -> None:
        super().__init__()
        channels = config.channels
        self.entry = nn.ModuleDict({str(s): nn.Conv2d(s * s + _PLANES, channels, 3, padding=1) for s in config.scales})
        self.blocks = nn.Sequential(*[_ResidualBlock(channels) for _ in range(config.n_blocks)])
        self.exit = nn.ModuleDict({str(s): _quiet_conv(channels, s * s) for s in config.scales})
        self._reach = 2 * config.n_blocks + 2

    def forward(self, planes: Tensor, scale: int) -> Tensor:
        return functional.pixel_shuffle(self._tiled(planes, scale), scale)

    def _tiled(self, planes: Tensor, scale: int) -> Tensor:
        """The change, tile by tile where a map is large, to bound memory; a tile sees all that it depends on."""
        height, width = planes.shape[-2:]
        if self.training or height * width <= _TILE_PX**2:
            return self._change(planes, scale)
        change = planes.new_empty((planes.shape[0], scale * scale, height, width), dtype=torch.float32)
        for top in range(0, height, _TILE_PX):
            for left in range(0, width, _TILE_PX):
                first = max(0, top - self._reach), max(0, left - self._reach)
                last = top + _TILE_PX + self._reach, left + _TILE_PX + self._reach
                part = self._change(planes[..., first[0] : last[0], first[1] : last[1]], scale)
                part = part[..., top - first[0] :, left - first[1] :][..., :_TILE_PX, :_TILE_PX]
                change[..., top : top + _TILE_PX, left : left + _TILE_PX] = part
        return change

    def _change(self, planes: Tensor, scale: int) -> Tensor:
        features = self.entry[str(scale)](planes.contiguous(memory_format=torch.channels_last))
        change: Tensor = self.exit[str(scale)](features + self.blocks(features))
        return change.float()


class _UncertaintyHead(nn.Module):
    """Log of the Laplace scale of the error, from the finished map; it never changes the map."""

    def __init__(self, config: UnrolledConfig, channels: int = 32) -> None:
        super().__init__()
        self.entry = nn.ModuleDict({str(s): nn.Conv2d(s * s + _PLANES, channels, 3, padding=1) for s in config.scales})
        self.middle = nn.Conv2d(channels, channels, 3, padding=1)
        self.exit = nn.ModuleDict({str(s): nn.Conv2d(channels, s * s, 3, padding=1) for s in config.scales})

    def forward(self, planes: Tensor, scale: int) -> Tensor:
        features = functional.relu(self.entry[str(scale)](planes.contiguous(memory_format=torch.channels_last)))
        log_scale: Tensor = self.exit[str(scale)](functional.relu(self.middle(features)))
        shuffled: Tensor = functional.pixel_shuffle(log_scale.float(), scale) + _LOG_SCALE_START
        return shuffled


def _quiet_conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Starts near zero, so that an untrained network is its data steps."""
    layer = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _mirrored(maps: Tensor, pad: int) -> Tensor:
    """Maps with their mirror image around, over and over where the map is smaller than the pad."""
    rows, columns = (_mirror_index(n, pad, maps.device) for n in maps.shape[-2:])
    return maps[..., rows, :][..., columns]


def _mirror_index(n: int, pad: int, device: torch.device) -> Tensor:
    position = torch.arange(-pad, n + pad, device=device) % (2 * n)
    return torch.where(position < n, position, 2 * n - 1 - position)


def _squared_frequency(shape: tuple[int, int], scale: int, device: torch.device) -> Tensor:
    fy, fx = (torch.fft.fftfreq(n, device=device) * scale / _REFERENCE_SCALE for n in shape)
    squared: Tensor = (fy[:, None] ** 2 + fx[None, :] ** 2)[None, None]
    return squared
