"""Peak memory is that of the work inside."""

import math

import numpy as np
import pytest

from models.superres.evaluation.memory import peak_memory


def test_an_array_that_comes_and_goes_is_seen() -> None:
    with peak_memory() as peak:
        assert np.ones(8_000_000).sum() == 8_000_000
    if math.isnan(peak.extra_mb):
        pytest.skip("this system does not tell its peak memory")
    assert 45 < peak.extra_mb < 130
