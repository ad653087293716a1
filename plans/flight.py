"""How a plan has rows taken and announces them while they come."""

from collections.abc import Mapping
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator, short_uid

from plans.devices.row_controller import RowController
from plans.devices.row_detector import RowDetector

FLUSH_PERIOD_S = 1.0
"""How often rows are announced while they are flown. An announcement costs one HTTP request an array, some 0.3 s of the
RunEngine's thread in all, however many rows it is about: more often shows rows sooner, less often spares the RunEngine
and Tiled. The flight never waits for it, and the last row is announced as soon as it is on disk."""

Streams = Mapping[str, tuple[RowDetector, ...]]


def fly(controller: RowController, flight: Any, streams: Streams, flush_period_s: float) -> MsgGenerator[None]:
    """Have a flight's rows taken and announce them as they come.

    A pause takes the response of the message it interrupts, and while the controller is prepared nothing is replayed: a
    message without response has to be sent again from here.

    Args:
        controller: staged; it takes the rows.
        flight: as its ``prepare`` takes it.
        streams: the devices that record, by the stream that they are announced in.
        flush_period_s: how often rows are announced.
    """
    yield from bps.prepare(controller, flight, wait=True)
    for name, devices in streams.items():
        while (yield from bps.declare_stream(*devices, name=name, collect=True)) is None:
            pass

    def landed() -> MsgGenerator[None]:
        yield from bps.stop(controller)
        yield from _collect(streams)  # what an abort or an interrupted collect left

    yield from bpp.finalize_wrapper(_collect_while_flying(controller, streams, flush_period_s), landed)


def _collect_while_flying(controller: RowController, streams: Streams, flush_period_s: float) -> MsgGenerator[None]:
    yield from bps.kickoff(controller, wait=True)
    group = short_uid("flight")
    landed: bool | None = None
    while not landed:
        if landed is None:  # at first, and after a pause, which makes the RunEngine forget the group
            yield from bps.complete(controller, group=group)
        landed = yield from bps.wait(group, timeout=flush_period_s, error_on_timeout=False)
        yield from _collect(streams)


def _collect(streams: Streams) -> MsgGenerator[None]:
    for name, devices in streams.items():
        yield from bps.collect(*devices, name=name, return_payload=False)
