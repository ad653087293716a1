from typing import Any

import numpy as np

from services.catalog.records import RawProjection
from services.catalog.series_layout import SeriesNode
from services.inference.completion import Completion
from services.inference.stopwatch import Stopwatch


def test_a_line_says_which_angle_of_which_series_how_long_it_took_and_how_many_are_done(projection_start):
    nothing: Any = np.empty(0)
    raw = RawProjection("run-1", 1, 1.0, projection_start, nothing, nothing, nothing, nothing)
    series = SeriesNode("7-a", projection_start.series_uid, ("Zn", "Mn"), (4, 5), 120.0, 2, 3, None, None, {})
    done = Completion(series, raw, Stopwatch({"read": 0.1, "fit": 2.0}), latency_s=4.567, n_done=1)

    assert str(done) == (
        "run run-1: series 7-a, coarse angle 0 (-60.00 deg), Zn Mn: read 0.10 s, fit 2.00 s; "
        "readable 4.57 s after its end; 1 of 3 angles done"
    )
    assert done.fields == {
        "series": "7-a",
        "angle_index": 0,
        "theta_deg": -60.0,
        "seconds": {"read": 0.1, "fit": 2.0},
    }
