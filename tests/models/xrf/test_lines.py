import numpy as np
import pytest

from models.run_schema import XrfDetector
from models.xrf.fit import MapFit
from models.xrf.lines import default_range_kev

DETECTOR = XrfDetector(n_channels=2048, energy_gain_kev=0.008)


def test_the_range_holds_every_strong_line_and_keeps_off_the_scatter() -> None:
    low_kev, high_kev = default_range_kev(("Mn", "Zn"), 12.0)
    assert low_kev < 5.888
    assert 9.572 < high_kev < 11.4


def test_scatter_peaks_are_fitted_only_where_the_range_reaches_them() -> None:
    continuum, elements = 7, 1
    assert MapFit(("Zn",), DETECTOR, 12.0).basis.matrix.shape[1] == elements + continuum
    arsenic = MapFit(("As",), DETECTOR, 12.0).basis  # K beta at 11.73 keV, under the Compton peak
    assert arsenic.matrix.shape[1] == elements + 2 + continuum


def test_weights_pass_each_element_and_cancel_everything_else() -> None:
    fit = MapFit(("Mn", "Fe"), DETECTOR, 12.0, neighbours=("Co",))
    response = fit.weights @ fit.basis.matrix
    np.testing.assert_allclose(response, np.eye(2, fit.basis.matrix.shape[1]), atol=1e-9)


def test_a_neighbour_takes_its_counts_out_of_the_map_next_to_it() -> None:
    spectrum = MapFit(("Co",), DETECTOR, 12.0, energy_range_kev=(5.5, 8.0)).basis.matrix[:, 0]
    blind = MapFit(("Fe",), DETECTOR, 12.0, energy_range_kev=(5.5, 8.0)).weights @ spectrum
    aware = MapFit(("Fe",), DETECTOR, 12.0, neighbours=("Co",), energy_range_kev=(5.5, 8.0)).weights @ spectrum
    assert abs(blind[0]) > 0.05
    assert abs(aware[0]) < 1e-9


@pytest.mark.parametrize(
    ("elements", "range_kev", "message"),
    [
        ((), None, "elements is empty"),
        (("Zn", "Zn"), None, "Zn, Zn cannot be told apart"),
        (("Fe",), (8.0, 10.0), "no lines of Fe in the fitted range"),
        (("Fe",), (20.0, 30.0), "no channels between 20.00 and 30.00 keV"),
        (("Se_K",), None, "not excited at 12 keV"),
    ],
)
def test_what_cannot_be_fitted_is_refused_at_once(
    elements: tuple[str, ...], range_kev: tuple[float, float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MapFit(elements, DETECTOR, 12.0, energy_range_kev=range_kev)
