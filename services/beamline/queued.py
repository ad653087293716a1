"""Plans as the items of a queue name them: everything by keyword, and detectors by the names of devices."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Any

from bluesky.protocols import Readable
from bluesky.utils import MsgGenerator

from plans.devices.beamline import Beamline

Plan = Callable[..., MsgGenerator[Any]]


def with_detectors(plan: Plan, beamline: Beamline) -> Plan:
    """A plan, bound to its beamline, that also takes ``detectors``.

    None leaves the choice to the plan. A list must hold the spectrometer; the camera in it stands for
    ``diffraction=True``, or is needed where the plan takes nothing but frames. Monitor and encoders always go along.

    The plan raises, besides what it raises by itself:
        ValueError: it cannot be measured with such detectors; nothing has been measured then.
    """
    whole = signature(plan)

    @wraps(plan)
    def queued(*, detectors: Sequence[Readable] | None = None, **arguments: Any) -> MsgGenerator[Any]:
        if detectors is not None:
            with_frames = _takes_frames(beamline, detectors)
            if "diffraction" in whole.parameters:
                arguments["diffraction"] = _agreed(with_frames, arguments.get("diffraction"))
            elif not with_frames:
                raise ValueError(f"detectors has no camera: {plan.__name__} takes frames, add 'camera' or leave it out")
        return (yield from plan(**arguments))

    asked = Parameter("detectors", Parameter.KEYWORD_ONLY, default=None, annotation=Sequence[Readable] | None)
    queued.__signature__ = whole.replace(parameters=[*whole.parameters.values(), asked])  # type: ignore[attr-defined]
    return queued


def _takes_frames(beamline: Beamline, detectors: Sequence[Readable]) -> bool:
    flown = (beamline.xrf, beamline.scaler, beamline.encoders, beamline.camera)
    names = ", ".join(device.name for device in flown)
    for detector in detectors:
        if not any(detector is device for device in flown):
            raise ValueError(
                f"detectors has {getattr(detector, 'name', detector)!r}, which does not fly along: pass some of {names}"
            )
    if not any(detector is beamline.xrf for detector in detectors):
        raise ValueError("detectors has no xrf: every flight records spectra, add 'xrf' or leave detectors out")
    return any(detector is beamline.camera for detector in detectors)


def _agreed(with_frames: bool, diffraction: bool | None) -> bool:
    if diffraction and not with_frames:
        raise ValueError("diffraction is True, and detectors has no camera: add 'camera' or leave one of both out")
    return with_frames
