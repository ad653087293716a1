"""From frames to the probe: which focus to start from, which model the data ask for, and how well it is known.

Frames are divided once: one of every ten is held out and judges, the others make two halves. Several defocused starts
race on the first half; the best is fitted on either half, so that two probes without a frame in common tell how well
the probe is known. On the first half a source of free size and free modes then try to explain held-out frames better
than one coherent probe does. What wins goes on with both halves together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe, centroid_offset_px
from models.physics.xray import FWHM_PER_SIGMA
from models.ptychography.fit import Fields, FitSettings, Wave, fit
from models.ptychography.frames import Frames, Indices
from models.ptychography.judging import (
    SMOOTH_SHARE,
    SMOOTH_WEAK_RAD,
    WEAK_RAD,
    deviances,
    scattered_share,
    structure_rad,
    transfer_difference,
)
from models.ptychography.source_modes import with_source
from models.ptychography.starts import focus_at, likely_defoci

Model = Literal["coherent", "source", "modes"]
Progress = Callable[[str, float], None]
"""Told the stage in words, and the fraction of it that is done."""

_HELD_OUT = 10  # one frame in as many
_RACE, _TRIAL = 0.15, 0.3  # of the epochs of a fit
_LEAST_STEPS = 360  # of a fit: few frames are passed over more often
_GO_ON = 0.5  # of the learning rate, where a model is tried on top of another
_IN_WORDS: dict[Model, str] = {
    "coherent": "one coherent probe",
    "source": "a source of free size",
    "modes": "free modes",
}
_FIRST_SOURCE_PX = 0.5
_LEAST_SOURCE_PX = 0.4  # what a coherent beam is found to have where object and motion are finer than the model
_MODE_AMPLITUDE = 0.2
_SURE = 3.0  # standard errors by which a richer model must be better
_WORTH = 0.02  # relative: by less, incoherence explains frames of a coherent beam, whose object is not known all over
_EXPLAINED = 1.2  # deviance of held-out frames below which free modes are not tried
UNEXPLAINED = 2.5
"""Deviance of held-out frames, of what counting leaves, above which a probe is not to be relied on."""
UNSURE = 0.25
"""`transfer_difference` of two halves above which a probe is not to be relied on."""


@dataclass(frozen=True)
class RecoverySettings:
    """How a probe is sought.

    Attributes:
        defoci_rad: phases at the edge of the aperture to start from; `likely_defoci` where none are given.
        models: to try, ``coherent`` always.
        epochs: of a fit from a start; screening and what follows take their parts of it.
        batch: frames of a step.
        refine_positions: whether positions are free in the last fit.
        seed: of the division and the order of frames.
        device: of torch.
    """

    defoci_rad: tuple[float, ...] = ()
    models: tuple[Model, ...] = ("coherent", "source", "modes")
    epochs: int = 20
    batch: int = 10
    refine_positions: bool = False
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Recovery:
    """A probe from ptychography and what is known of it.

    Attributes:
        probe: without the motion of the stage; centred.
        shift_px: y and x by which centring moved it: the object has moved along.
        obj: (Y, X) transmission in pixels of the probe, before centring.
        model: that explained held-out frames best.
        source_fwhm_nm: y and x of the source in the object's plane; zero where it is no part of the model.
        deviance: of held-out frames over what counting alone leaves; 1 where all is explained.
        trials: the same by model, on half of the frames.
        starts: deviance of fitted frames by defocus in radians, after the race.
        halves_difference: of transfer functions of probes from two halves; that of the whole is about half of it.
        structure_rad: root mean square phase structure of the object, see there.
        scattered_share: of photons, by sharp structure, see there.
        haze: mean photons that every pixel of a frame gets beside the known background, or less: the object, free where
            the beam hardly comes, explains a part of them.
        position_shift_px: root mean square by which positions were refined; zero where they were not.
        warnings: in words; none where the probe can be relied on.
    """

    probe: Probe
    shift_px: tuple[float, float]
    obj: Wave
    model: Model
    source_fwhm_nm: tuple[float, float]
    deviance: float
    trials: dict[Model, float]
    starts: dict[float, float]
    halves_difference: float
    structure_rad: float
    scattered_share: float
    haze: float
    position_shift_px: float = 0.0
    warnings: tuple[str, ...] = field(default=())

    @property
    def reliable(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.warnings


def recover(
    frames: Frames, settings: RecoverySettings | None = None, progress: Progress = lambda _stage, _fraction: None
) -> Recovery:
    """Find the probe of a scan.

    Args:
        frames: of the scan.
        settings: how; the default suits optics within some depths of focus.
        progress: what it raises ends the search.
    """
    search = _Search(frames, settings or RecoverySettings(), progress)
    starts = search.race()
    best, next_best = sorted(starts, key=starts.__getitem__)[:2] if len(starts) > 1 else [*starts, *starts]
    # From another focus each: what the starts still decide is part of how far the halves differ.
    first, second = search.fit_half(0, best), search.fit_half(1, next_best)
    trials = search.trials(first)
    model = _chosen(trials)
    halves = (first, second) if model == "coherent" else (trials[model].fields, search.half_with(model, second))
    whole = search.whole(best, model, trials[model].fields.source_px)
    probe, shift_px = centred_probe(frames, whole)
    kernels = [centred_probe(frames, half)[0].intensity() for half in halves]
    source_y, source_x = (float(FWHM_PER_SIGMA * sigma * frames.pixel_size_nm) for sigma in whole.source_px)
    found = Recovery(
        probe=probe,
        shift_px=shift_px,
        obj=_known(whole.obj),
        model=model,
        source_fwhm_nm=(source_y, source_x),
        deviance=float(search.judged(whole).mean()),
        trials={name: float(trial.deviances.mean()) for name, trial in trials.items()},
        starts=starts,
        halves_difference=transfer_difference(*kernels),
        structure_rad=structure_rad(frames),
        scattered_share=scattered_share(frames, whole.haze or 0.0),
        haze=whole.haze or 0.0,
        position_shift_px=0.0 if whole.moves_px is None else float(np.sqrt(np.mean(whole.moves_px**2))),
    )
    return replace(found, warnings=_warnings(found))


def models_named(names: Sequence[str]) -> tuple[Model, ...]:
    """Models to try, ``coherent`` first; all where none is named.

    Raises:
        ValueError: there is no such model.
    """
    known = get_args(Model)
    for name in names:
        if name not in known:
            raise ValueError(f"model is {name!r}: there are {', '.join(known)}")
    return tuple(model for model in known if model == "coherent" or not names or model in names)


def divided(n_points: int, seed: int) -> tuple[Indices, Indices, Indices]:
    """Held out, first half, second half: of every ten points in a row one, at random, and the others in turn."""
    rng = np.random.default_rng(seed)
    blocks = [np.arange(first, min(first + _HELD_OUT, n_points)) for first in range(0, n_points, _HELD_OUT)]
    held_out = np.array([rng.choice(block) for block in blocks])
    others = np.setdiff1d(np.arange(n_points), held_out)
    return held_out, others[::2], others[1::2]


def centred_probe(
    frames: Frames, fields: Fields, description: str = "ptychography"
) -> tuple[Probe, tuple[float, float]]:
    """The probe with its source as modes, and by how many pixels, y and x, centring moved it."""
    modes = with_source(fields.probe, fields.source_px)
    y, x = (-float(offset) for offset in centroid_offset_px(modes))
    return Probe.centred(modes, frames.pixel_size_nm, frames.energy_kev, description), (y, x)


@dataclass(frozen=True, eq=False)
class _Trial:
    """Of a model on the first half: where it stands, and what it leaves of each held-out frame."""

    fields: Fields
    deviances: NDArray[np.float64]


class _Search:
    """One division of the frames, and fits of its parts."""

    def __init__(self, frames: Frames, settings: RecoverySettings, progress: Progress) -> None:
        self._frames = frames
        self._settings = settings
        self._progress = progress
        self._held_out, *halves = divided(len(frames.counts), settings.seed)
        self.halves = tuple(halves)

    def race(self) -> dict[float, float]:
        """Deviance of the first half by defocus after a short fit of it.

        The fitted frames themselves are the surer judges here, for each start has the same number of unknowns.
        """
        still = replace(self._frames, fly_px=(0.0, 0.0))  # a third of the time, and ranks alike
        found: dict[float, float] = {}

        def run(defoci: Sequence[float]) -> None:
            for defocus in defoci:
                stage = f"start {defocus:+g} rad out of focus"
                fields = self._fit(self._start(defocus), self.halves[0], _RACE, stage, still)
                found[defocus] = float(deviances(still, self.halves[0], fields, self._settings.device).mean())

        run(self._settings.defoci_rad or likely_defoci(self._frames))
        best = min(found, key=found.__getitem__)
        apart = min((abs(other - best) for other in found if other != best), default=0.0)
        run([best - apart / 2, best + apart / 2] if apart else [])
        return found

    def fit_half(self, half: int, defocus_rad: float) -> Fields:
        """From a start, by frames of one half only."""
        return self._fit(self._start(defocus_rad), self.halves[half], 1.0, f"half {half + 1} of 2")

    def trials(self, coherent: Fields) -> dict[Model, _Trial]:
        """Every model that is asked for, on the first half."""
        tried: dict[Model, _Trial] = {}
        for model in dict.fromkeys(("coherent", *self._settings.models)):
            if model == "modes" and min(trial.deviances.mean() for trial in tried.values()) < _EXPLAINED:
                continue  # three times the time of a coherent fit, and nothing for them to explain
            fields = self._continued(model, coherent, self.halves[0])
            tried[model] = _Trial(fields, self.judged(fields))
        return tried

    def half_with(self, model: Model, coherent: Fields) -> Fields:
        """The second half by the model that the first one chose."""
        return self._continued(model, coherent, self.halves[1])

    def whole(self, defocus_rad: float, model: Model, source_px: tuple[float, float]) -> Fields:
        """All frames that are not held out, from the start again: what half of the noise shaped is hard to leave."""
        start = self._start(defocus_rad)
        start = _richer(start, "modes") if model == "modes" else replace(start, source_px=source_px)
        points = np.sort(np.concatenate(self.halves))
        return self._fit(start, points, 1.0, "all frames", fit_positions=self._settings.refine_positions)

    def _continued(self, model: Model, coherent: Fields, points: Indices) -> Fields:
        return self._fit(_richer(coherent, model), points, _TRIAL, f"model: {_IN_WORDS[model]}", rate=_GO_ON)

    def judged(self, fields: Fields) -> NDArray[np.float64]:
        """Of held-out frames."""
        return deviances(self._frames, self._held_out, fields, self._settings.device)

    def _start(self, defocus_rad: float) -> Fields:
        return Fields(focus_at(self._frames, defocus_rad))

    def _fit(
        self,
        start: Fields,
        points: Indices,
        part: float,
        stage: str,
        frames: Frames | None = None,
        rate: float = 1.0,
        fit_positions: bool = False,
    ) -> Fields:
        usual = FitSettings()
        per_epoch = ceil(len(points) / self._settings.batch)
        settings = replace(
            usual,
            epochs=max(1, round(part * max(self._settings.epochs, _LEAST_STEPS / per_epoch))),
            batch=self._settings.batch,
            learning_rate=rate * usual.learning_rate,
            fit_source=any(start.source_px),
            fit_positions=fit_positions,
            seed=self._settings.seed,
            device=self._settings.device,
        )
        return fit(frames or self._frames, points, start, settings, lambda done, of: self._progress(stage, done / of))


def _richer(coherent: Fields, model: Model) -> Fields:
    if model == "coherent":
        return coherent
    if model == "source":
        return replace(coherent, source_px=(_FIRST_SOURCE_PX, _FIRST_SOURCE_PX))
    probe = coherent.probe[:1]
    along = [np.gradient(probe, axis=axis) for axis in (1, 2)]
    unit = np.linalg.norm(probe) / np.maximum([np.linalg.norm(one) for one in along], 1e-30)
    seeds = [_MODE_AMPLITUDE * scale * one for scale, one in zip(unit, along, strict=True)]
    return replace(coherent, probe=np.concatenate([probe, *seeds]).astype(np.complex64))


def _chosen(trials: dict[Model, _Trial]) -> Model:
    """The best on held-out frames; a richer model than the coherent must be surely and noticeably better."""
    model: Model = "coherent"
    for name, trial in trials.items():
        gain = trials[model].deviances - trial.deviances
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        if name == "source" and max(trial.fields.source_px) < _LEAST_SOURCE_PX:
            continue
        if gain.mean() > max(_SURE * error, _WORTH * trials[model].deviances.mean()):
            model = name
    return model


def _known(obj: Wave | None) -> Wave:
    if obj is None:
        raise ValueError("a fit without an object")
    return obj


def _warnings(found: Recovery) -> tuple[str, ...]:
    said = []
    is_smooth = found.scattered_share < SMOOTH_SHARE
    needed_rad = SMOOTH_WEAK_RAD if is_smooth else WEAK_RAD
    if found.structure_rad < needed_rad:
        said.append(
            f"the object is weak: its structure within the beam is {found.structure_rad:.3f} rad rms, and of one so "
            f"{'smooth' if is_smooth else 'sharp'} {needed_rad:g} is needed to tell the probe; scan a strong, sharp "
            "object such as a Siemens star"
        )
    if found.halves_difference > UNSURE:
        said.append(
            f"two halves of the scan give probes whose transfer functions differ by {found.halves_difference:.0%}: "
            "take more photons, more points or a stronger object"
        )
    if found.deviance > UNEXPLAINED:
        said.append(
            f"held-out frames deviate {found.deviance:.2f} times as much as counting would: are positions (one axis "
            "turned?), the motion, the distance and the mask right, and are these counts?"
        )
    return tuple(said)
