"""The engines by name: what does the arithmetic of the iterative algorithms, and where it runs."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from models.tomo.interruption import Cancelled, Progress
from models.tomo.likelihood import LikelihoodResult, LikelihoodSettings
from models.tomo.numba_engine import NumbaEngine
from models.tomo.system import Geometry, Values
from models.tomo.tomopy_engine import TomopyEngine
from models.tomo.torch_engine import TorchEngine
from models.tomo.triton_engine import TritonEngine

EngineName = Literal["auto", "numba", "torch", "torch-cuda", "triton", "tomopy"]


class Engine(Protocol):
    """Does the arithmetic; all give the same answer within rounding."""

    @property
    def name(self) -> str:
        """As in ``ENGINES``."""

    def unavailable(self) -> str | None:
        """Why it cannot run here; None if it can."""

    def memory_bytes(self, geometry: Geometry, n_slices: int, settings: LikelihoodSettings) -> int:
        """What a reconstruction takes beside its projections and its result, known before it starts.

        Args:
            geometry: of the projections and the slices.
            n_slices: over all elements.
            settings: of the reconstruction.
        """

    def project(self, volume: Values, geometry: Geometry) -> Values:
        """Line integrals of a volume (z, y, x) that is centred on the axis: (angle, y, u), its unit times pixels."""

    def reconstruct(
        self,
        projections: Values,
        geometry: Geometry,
        settings: LikelihoodSettings,
        *,
        initial: Values | None = None,
        progress: Progress = ...,
        cancelled: Cancelled = ...,
    ) -> LikelihoodResult:
        """See `models.tomo.likelihood.maximise`."""


ENGINES: dict[str, Engine] = {
    "numba": NumbaEngine(),
    "torch": TorchEngine(),
    "torch-cuda": TorchEngine("cuda", "torch-cuda"),
    "triton": TritonEngine(),
    "tomopy": TomopyEngine(),
}


@dataclass(frozen=True)
class Choice:
    """An engine, and why it is not a faster one.

    Attributes:
        engine: that runs here.
        fallback: what kept the engine that was tried before from being chosen; None if the first one was.
    """

    engine: Engine
    fallback: str | None


def choose_engine(name: EngineName = "auto", device: Literal["auto", "cpu", "cuda"] = "auto") -> Choice:
    """The engine of a name; for ``auto`` triton, or else torch, where there is CUDA, and numba on a CPU.

    Args:
        name: of the engine.
        device: that ``auto`` looks at; its own ``auto`` is CUDA where there is any.

    Raises:
        ValueError: there is no such engine, or it cannot run here.
    """
    if name == "auto":
        on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        if not on_cuda:
            return Choice(ENGINES["numba"], None)
        reason = ENGINES["triton"].unavailable()
        return Choice(ENGINES["triton"], None) if reason is None else _running("torch-cuda", reason)
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}: choose auto or one of {', '.join(ENGINES)}")
    return _running(name, None)


def _running(name: str, fallback: str | None) -> Choice:
    engine = ENGINES[name]
    if (reason := engine.unavailable()) is not None:
        raise ValueError(f"the engine {name} cannot run here: {reason}. Choose auto, numba or torch")
    return Choice(engine, fallback)
