"""What a user says about the pairs to train on, and the source of pairs that it makes."""

from dataclasses import dataclass
from pathlib import Path

from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.photographs import MixedMaps, Photographs
from models.superres.pairs.recorded import RecordedPairs
from models.superres.pairs.source import MixedPairs, PairSource, SimulatedPairs
from models.superres.training.presets import Preset
from services.training.photographs import ImageFolder
from services.training.recorded import read_recordings


@dataclass(frozen=True)
class Sources:
    """Beside the preset's procedural maps.

    Attributes:
        natural: folder of photographs.
        natural_share: of the simulated patches.
        recorded: HDF5 file of recorded pairs.
        recorded_share: of the steps; the others keep a network from forgetting.
    """

    natural: Path | None = None
    natural_share: float = 0.4
    recorded: Path | None = None
    recorded_share: float = 0.5


def pair_source(sources: Sources, preset: Preset) -> PairSource:
    """Pairs as the preset says, with photographs and recordings where there are any.

    Raises:
        SubprobeError: a folder or file is not what it should be.
    """
    procedural = ProceduralMaps(preset.seed, preset.n_images)
    simulated = SimulatedPairs(procedural, preset.conditions)
    if sources.natural is not None:
        share = sources.natural_share
        maps = MixedMaps(((1 - share, procedural), (share, Photographs(ImageFolder(sources.natural)))))
        simulated = SimulatedPairs(maps, preset.conditions)
    if sources.recorded is None:
        return simulated
    recorded = RecordedPairs(read_recordings(sources.recorded), preset.conditions.coarse_px)
    return MixedPairs(((1 - sources.recorded_share, simulated), (sources.recorded_share, recorded)))
