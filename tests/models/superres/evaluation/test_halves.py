"""Half sets overstate, even without a network."""

import numpy as np

from models.superres.bicubic import BicubicEnhancer
from models.superres.evaluation.halves import compare_halves
from models.superres.evaluation.held_out import held_out_probe


def test_interpolated_halves_agree_where_the_truth_is_lost() -> None:
    """Replicas of the strong low frequencies at the lattice of the scan are the same in both halves."""
    curves = compare_halves(BicubicEnhancer(), held_out_probe("A"), 3000, n_maps=2, coarse_px=40)
    lattice = int(np.argmin(np.abs(curves.frequency_per_nm - 1 / 30)))
    assert curves.between[lattice] > 0.6
    assert abs(curves.with_truth[lattice]) < 0.3
