"""What a person sees while something is measured: what it will cost, then a bar with the time left."""

from collections.abc import Mapping
from typing import Any, TextIO

from tqdm import tqdm

from models.run_schema import XRF_STREAM
from models.structured_schema import PATTERNS_STREAM, STRUCTURED_PURPOSE, TXM_FRAMES

_PATTERN_LAYOUT = "{desc} |{bar}| {n_fmt}/{total_fmt} frames, {elapsed} gone, {remaining} left"
_LAYOUT = "{desc} |{bar}| {n_fmt}/{total_fmt} angles, {elapsed} gone, {remaining} left"


class AngleProgress:
    """A RunEngine callback for `plans.tomography.coarse_flyscan_tomo`; of other runs it tells the cost alone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream, standard error by default."""
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        self._ends_angle = False

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take one document."""
        if name == "start":
            self._begin_run(document)
        elif name == "stop" and self._bar is not None:
            self._end_run(self._bar, str(document["exit_status"]))

    def _begin_run(self, start: Mapping[str, Any]) -> None:
        progress = start.get("progress")
        if progress is None:
            self._close()
            if "estimate" in start:
                self._tell_cost(start)
            return
        if self._bar is None:
            self._bar = self._opened(start)
        self._ends_angle = progress["ends_angle"]
        self._bar.set_description_str(f"{start['purpose']} scan at {start['theta_deg']:.1f} deg")

    def _end_run(self, bar: "tqdm[Any]", exit_status: str) -> None:
        if exit_status != "success":
            bar.set_description_str(f"{bar.desc}: {exit_status}")
            self._close()
        elif self._ends_angle:
            bar.update()
            if bar.n == bar.total:
                self._close()

    def _opened(self, start: Mapping[str, Any]) -> "tqdm[Any]":
        self._tell_cost(start)
        progress = start["progress"]
        return tqdm(total=progress["angles"], initial=progress["angles_done"], file=self._stream, bar_format=_LAYOUT)

    def _tell_cost(self, start: Mapping[str, Any]) -> None:
        tqdm.write(f"{start['sample_name']}: {start['estimate']['text']}", file=self._stream)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class PatternProgress:
    """A RunEngine callback for `plans.singlepixel.structured_illumination_scan`; of other runs it says nothing.

    `AngleProgress` tells the cost, so that one who subscribes both reads it once.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream, standard error by default."""
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        self._names: dict[str, str] = {}
        self._frames: set[str] = set()

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take one document."""
        if name == "start" and document.get("purpose") == STRUCTURED_PURPOSE:
            self._names.clear()
            self._frames.clear()
            total = 2 * int(document["n_patterns"])
            self._bar = tqdm(total=total, file=self._stream, bar_format=_PATTERN_LAYOUT, desc="patterns")
        elif self._bar is None:
            return
        elif name == "descriptor":
            self._names[document["uid"]] = document["name"]
        elif name == "stream_resource" and document["data_key"] == TXM_FRAMES:
            self._frames.add(document["uid"])
        elif name == "stream_datum" and document["stream_resource"] in self._frames:
            self._count(self._bar, document)
        elif name == "stop":
            self._end(self._bar, str(document["exit_status"]))

    def _count(self, bar: "tqdm[Any]", datum: Mapping[str, Any]) -> None:
        name = self._names[datum["descriptor"]]
        if name in (PATTERNS_STREAM, XRF_STREAM):
            bar.set_description_str("patterns" if name == PATTERNS_STREAM else "spectra", refresh=False)
            bar.update(datum["indices"]["stop"] - datum["indices"]["start"])

    def _end(self, bar: "tqdm[Any]", exit_status: str) -> None:
        if exit_status != "success":
            bar.set_description_str(f"{bar.desc}: {exit_status}")
        bar.close()
        self._bar = None
