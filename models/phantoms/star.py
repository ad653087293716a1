"""A Siemens star of tantalum: strong enough, and rich enough in detail, to tell the probe by ptychography."""

import numpy as np

from models.phantoms.shapes import Array, Body, Ellipsoid, HalfSpaces, Scene, Solid

ELEMENTS = ("Ta",)
TANTALUM_G_CM3 = 16.6
THICKNESS_UM = 0.85
"""1.0 rad and a quarter of the photons at 10 keV: a weak object would leave the probe undetermined."""
N_SPOKES = 18
RINGS_UM = ((0.06, 0.2), (0.23, 0.46), (0.5, 0.84), (0.9, 1.4))
"""Inner and outer radius of each ring of spokes; half a period is from 10 nm wide inside to 240 nm outside."""


def siemens_star(seed: int) -> Scene:
    """A star across the beam at 0 degrees, 2.8 um in diameter; the seed turns it."""
    turn = np.random.default_rng([seed, 0x57A2]).uniform(0.0, 2 * np.pi / N_SPOKES)
    angles = turn + np.arange(N_SPOKES) * 2 * np.pi / N_SPOKES
    solids = [_segment(angle, *radii_um) for radii_um in RINGS_UM for angle in angles]
    return Scene(ELEMENTS, tuple(Body(solid, (TANTALUM_G_CM3,)) for solid in solids))


def _segment(angle: float, inner_um: float, outer_um: float) -> Solid:
    """A wedge of half a period between two chords."""
    along, half_wedge = _direction(angle), np.pi / (2 * N_SPOKES)
    beam = np.array([0.0, 0.0, 1.0])
    sides = [_direction(angle + sign * (half_wedge + np.pi / 2)) for sign in (1, -1)]
    planes = HalfSpaces(
        np.array([*sides, along, -along, beam, -beam]),
        np.array([0.0, 0.0, outer_um, -inner_um, THICKNESS_UM / 2, THICKNESS_UM / 2]),
    )
    half = np.array([(outer_um - inner_um) / 2, outer_um * np.tan(half_wedge), THICKNESS_UM / 2])
    ball = Ellipsoid.from_axes(along * (inner_um + outer_um) / 2, float(np.linalg.norm(half)) * 1.01)
    return Solid((ball,), planes)


def _direction(angle: float) -> Array:
    return np.array([np.cos(angle), np.sin(angle), 0.0])
