"""Products of one projection without measuring it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from models.run_schema import ProjectionStart
from models.superres.enhancer import EnhancedMaps
from models.xrf.maps import ElementMaps
from services.catalog.angle_records import claim_angle, commit_angle
from services.catalog.claims import Claims, Hold
from services.catalog.client import Catalog
from services.catalog.records import RawProjection
from services.catalog.series_layout import SeriesNode, ensure_series
from services.catalog.writing import summarise_series, write_coarse

SCALE = 2
WORKER = "worker-1"


@dataclass(frozen=True)
class ProductWriter:
    """Writes constant maps as a worker would write real ones."""

    catalog: Catalog

    def open(self, start: ProjectionStart, worker: str = WORKER) -> SeriesNode:
        """The series, made where it is missing."""
        return ensure_series(self.catalog, start, SCALE, worker)

    def maps(self, start: ProjectionStart, value: float) -> tuple[ElementMaps, EnhancedMaps]:
        """Maps of that value everywhere, variance 1, sigma one half."""
        n, y, x = len(start.elements), *start.scan.shape
        coarse, fine = (n, y, x), (n, SCALE * y, SCALE * x)
        step_nm = start.scan.step_nm
        fitted = ElementMaps(
            start.elements, _full(coarse, value), _full(coarse, 1.0), np.ones((y, x), bool), step_nm, _full((n,), 1.0)
        )
        enhanced = EnhancedMaps(
            start.elements, _full(fine, value), _full(fine, 0.5), _full(coarse, 1.0), step_nm / SCALE
        )
        return fitted, enhanced

    def write(
        self, series: SeriesNode, start: ProjectionStart, run_uid: str, value: float = 1.0, run_time: float = 1.0
    ) -> None:
        """Take one projection all the way."""
        hold = self.claim(series, start, run_uid, run_time)
        write_coarse(series, start.angle_index, *self.maps(start, value))
        assert self.commit(series, start, hold, run_uid, run_time)
        summarise_series(series)

    def claim(self, series: SeriesNode, start: ProjectionStart, run_uid: str, run_time: float) -> Hold:
        """Have one projection granted, to a worker whose heart does not beat."""
        claims = Claims(WORKER)
        hold = claim_angle(series, start, run_uid, run_time, claims)
        assert isinstance(hold, Hold)
        claims.close()
        return hold

    def commit(self, series: SeriesNode, start: ProjectionStart, hold: Hold, run_uid: str, run_time: float) -> bool:
        """Call one projection complete."""
        nothing: Any = np.empty(0)
        raw = RawProjection(run_uid, 1, run_time, start, nothing, nothing, nothing, nothing)
        return commit_angle(series, hold, raw, {})


def _full(shape: tuple[int, ...], value: float) -> Any:
    return np.full(shape, value, dtype=np.float32)


@pytest.fixture(scope="session")
def products(tiled_connection: Catalog) -> ProductWriter:
    """Writes products."""
    return ProductWriter(tiled_connection)
