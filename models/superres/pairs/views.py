"""Which angles of a series a network may learn from, and which are kept to judge it by."""

from collections.abc import Sequence

import numpy as np

LEAST_VIEWS = 3
"""Two to learn from and one to be judged by."""
_EVERY = 5
_SAME_DEG = 0.05


def held_out_views(angles_deg: Sequence[float]) -> tuple[int, ...]:
    """Places in ``angles_deg`` of every fifth view, from the middle of the first five on, at least one.

    Angles 180 degrees apart show one view and its mirror image: they stay on one side. Neighbours stay neighbours: a
    view between two that were learnt from is known better than one of another specimen.

    Raises:
        ValueError: there are fewer than `LEAST_VIEWS` views.
    """
    views = _views(angles_deg)
    if len(views) < LEAST_VIEWS:
        raise ValueError(
            f"there are {len(views)} different views (angles 180 deg apart are one): at least {LEAST_VIEWS} are "
            "needed, two to learn from and one to be judged by"
        )
    first = min(_EVERY, len(views)) // 2
    return tuple(sorted(place for view in views[first::_EVERY] for place in view))


def _views(angles_deg: Sequence[float]) -> list[list[int]]:
    """Places that show one view, in order of the angle modulo 180."""
    folded = np.mod(np.asarray(angles_deg, np.float64), 180.0)
    folded[folded > 180.0 - _SAME_DEG] -= 180.0
    views: list[list[int]] = []
    last = -np.inf
    for place in np.argsort(folded, kind="stable"):
        if folded[place] - last > _SAME_DEG:
            views.append([])
        views[-1].append(int(place))
        last = folded[place]
    return views
