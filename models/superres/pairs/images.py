"""Fine maps to train on, drawn by procedures: no licence but ours, no end, each from a seed."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.special import expit

from models.superres.pairs.shapes import Blend, Distance, Image, disc, paint, square, texture, triangle, turned

Plane = NDArray[np.float64]

_SMALLEST_LEAF_PX, _LARGEST_LEAF_PX = 2.0, 80.0
_MARGIN_PX = 60  # beyond the image: particles also hang over its border


def draw_image(rng: np.random.Generator, side: int) -> Image:
    """A fine map (side, side) between 0 and 1: any kind, some mixed, a third of them larger and smoother."""
    kind = rng.choice(list(_WEIGHTS), p=list(_WEIGHTS.values()))
    image = _enlarged(rng, kind, side) if rng.random() < 0.35 else GENERATORS[kind](rng, side)
    if rng.random() < 0.15:
        image = image + rng.uniform(0.1, 0.6) * smooth_layers(rng, side)
    return np.asarray(np.clip(image / max(float(image.max()), 1e-3), 0, 1), np.float32)


def dead_leaves(rng: np.random.Generator, side: int) -> Image:
    """Discs, squares and triangles of all sizes, one upon another, as in Lee, Mumford and Huang, IJCV 41 (2001) 35."""
    image = np.full((side, side), rng.uniform(0, 0.5), np.float32)
    count = int(rng.integers(200, 1200) * (side / 320) ** 2)
    spread = rng.random(count)
    radii = 1 / np.sqrt(_SMALLEST_LEAF_PX**-2 - spread * (_SMALLEST_LEAF_PX**-2 - _LARGEST_LEAF_PX**-2))
    empty = rng.uniform(0, 0.25)
    for radius in radii:
        shape = (disc(radius), square(0.8 * radius), triangle(0.6 * radius))[int(rng.integers(3))]
        level = 0.0 if rng.random() < empty else rng.random()
        slant = 0.3 * rng.normal() / radius if rng.random() < 0.4 else 0.0
        leaf = turned(shape, rng.uniform(0, np.pi), rng.uniform(0.4, 1.4))
        paint(image, _anywhere(rng, side), 2.6 * radius, leaf, _covering(level, slant))
    return np.clip(image, 0, 1)


def particles(rng: np.random.Generator, side: int) -> Image:
    """Particles of a specimen: solid or flat, with texture, pores, cracks and shells, and dust between them."""
    full = side + 2 * _MARGIN_PX
    image = np.zeros((full, full), np.float32)
    grain, wobble = texture(rng, full, rng.uniform(0.9, 1.5)), texture(rng, full, 1.9)
    for _ in range(int(rng.integers(3, 16))):
        particle = _particle(rng, full, grain, wobble)
        image = np.maximum(image, particle) if rng.random() < 0.6 else image + particle
    for _ in range(int(rng.integers(0, 120))):
        radius = 2 * np.exp(0.5 * rng.normal())
        paint(image, _anywhere(rng, full), 2 * radius + 2, disc(radius), _adding(rng.uniform(0.1, 0.6)))
    return image[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX] + np.float32(rng.uniform(0, 0.05))


def projections(rng: np.random.Generator, side: int) -> Image:
    """What a beam sees through a heap of solid bodies: lengths of its path, added up over depth.

    Ellipsoids and convex polyhedra, some hollow, some with a fissure right through; few large or hundreds of small.
    """
    largest = np.exp(rng.uniform(np.log(8), np.log(140)))
    count = int(np.clip(rng.uniform(0.3, 3) * (side / largest) ** 2, 2, 400))
    total = np.zeros((side, side))
    for _ in range(count):
        radius = largest * rng.uniform(0.3, 1)
        y, x = rng.uniform(-radius / 2, side + radius / 2, 2)
        chord = _polyhedron_chord if rng.random() < 0.5 else _ellipsoid_chord
        _add_chord(rng, total, (y, x), radius, chord(rng, radius))
    density = 1 + 0.1 * rng.random() * texture(rng, side, rng.uniform(1, 1.6))
    return np.asarray(total * density / max(float(total.max()), 1e-6), np.float32)


def smooth_layers(rng: np.random.Generator, side: int) -> Image:
    """A film with ripples, steps and fibres: little contrast on much background, as of light elements."""
    image = 0.5 + rng.uniform(0.02, 0.2) * texture(rng, side, rng.uniform(1.2, 2.2))
    for _ in range(int(rng.integers(0, 12))):
        length, width = rng.uniform(20, 200), rng.uniform(0.8, 6)
        fibre = turned(_bar(length, width), rng.uniform(0, np.pi))
        paint(image, _anywhere(rng, side), length, fibre, _adding(rng.uniform(-0.3, 0.5)))
    return np.asarray(np.clip(image, 0, None) / max(float(image.max()), 1e-3), np.float32)


def random_fields(rng: np.random.Generator, side: int) -> Image:
    """Gaussian noise of any power law, as it is or bent into domains, veins or islands: nothing has a drawn edge."""
    field = texture(rng, side, rng.uniform(1.3, 2.4))
    bent: dict[str, Callable[[], Image]] = {
        "as it is": lambda: 1 + rng.uniform(0.1, 0.4) * texture(rng, side, rng.uniform(0.9, 2.4)),
        "domains": lambda: np.asarray(expit(rng.uniform(2, 30) * (field - rng.normal()))),
        "veins": lambda: np.exp(-((rng.uniform(1, 6) * field) ** 2)),
        "islands": lambda: np.clip(field - rng.uniform(-0.5, 1), 0, None) ** rng.uniform(0.5, 2),
    }
    image = np.clip(bent[str(rng.choice(list(bent)))](), 0, None)
    return np.asarray(image / max(float(image.max()), 1e-6), np.float32)


GENERATORS: dict[str, Callable[[np.random.Generator, int], Image]] = {
    "particles": particles,
    "dead_leaves": dead_leaves,
    "projections": projections,
    "smooth_layers": smooth_layers,
    "random_fields": random_fields,
}
_WEIGHTS = {"particles": 0.30, "dead_leaves": 0.18, "projections": 0.28, "smooth_layers": 0.06, "random_fields": 0.18}


def _enlarged(rng: np.random.Generator, kind: str, side: int) -> Image:
    """As `GENERATORS` draw it, magnified 1.3 to 4 times, pixels smoothed away."""
    drawn = GENERATORS[kind](rng, max(48, int(side / rng.uniform(1.3, 4))))
    factor = side / len(drawn)
    larger = zoom(drawn, factor, order=1, mode="reflect", grid_mode=True)
    return np.asarray(gaussian_filter(larger[:side, :side], rng.uniform(0.3, 0.8) * factor), np.float32)


def _particle(rng: np.random.Generator, side: int, grain: Image, wobble: Image) -> Image:
    radius = rng.uniform(12, 110)
    y, x = centre = _anywhere(rng, side)
    body = turned(disc(radius), rng.uniform(0, np.pi), rng.uniform(0.7, 1.3))
    places = np.arange(side, dtype=np.float64)
    distance = body(places[:, None] - y, places[None, :] - x) + wobble * radius * rng.uniform(0, 0.12)
    inside = np.clip(0.5 - distance, 0, 1)
    depth = np.clip(-distance / radius, 0, 1)
    thickness = 0.2 + 0.8 * np.sqrt(depth * (2 - depth)) if rng.random() < 0.5 else np.ones_like(depth)
    if rng.random() < 0.25:
        thickness = np.where(depth < rng.uniform(0.05, 0.3), thickness, rng.uniform(0.1, 0.8) * thickness)
    solid = np.asarray(inside * thickness * rng.uniform(0.25, 1) * (1 + 0.12 * rng.random() * grain), np.float32)
    for _ in range(int(rng.integers(0, 60))):
        pore = 2.2 * np.exp(0.6 * rng.normal())
        place = (y + 0.5 * radius * rng.normal(), x + 0.5 * radius * rng.normal())
        paint(solid, place, pore + 2, disc(pore), _thinning(rng.uniform(0.4, 1)))
    for _ in range(int(rng.integers(0, 7))):
        _crack(rng, solid, centre, radius)
    return solid


def _crack(rng: np.random.Generator, solid: Image, centre: tuple[float, float], radius: float) -> None:
    y, x = (along + 0.4 * radius * rng.normal() for along in centre)
    heading, half_width = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.4)
    for _ in range(int(radius * rng.uniform(0.6, 2) / 2)):
        y, x = y + 2 * np.sin(heading), x + 2 * np.cos(heading)
        heading += 0.17 * rng.normal()
        paint(solid, (y, x), half_width + 2, disc(half_width), _thinning(0.6))


Chord = Callable[[Plane, Plane], Plane]
"""Length of the beam's path through a body, in pixels, at (dy, dx) from its centre."""


def _add_chord(
    rng: np.random.Generator, total: Plane, centre: tuple[float, float], radius: float, chord: Chord
) -> None:
    reach = 1.8 * radius
    (top, left), (bottom, right) = (
        [int(np.clip(along + sign * reach, 0, n)) for along, n in zip(centre, total.shape, strict=True)]
        for sign in (-1, 1)
    )
    dy = np.arange(top, bottom, dtype=np.float64)[:, None] - centre[0]
    dx = np.arange(left, right, dtype=np.float64)[None, :] - centre[1]
    path = chord(dy, dx)
    if rng.random() < 0.25:
        shrunk = rng.uniform(0.5, 0.95)
        path = path - rng.uniform(0.3, 1) * shrunk * chord(dy / shrunk, dx / shrunk)
    if rng.random() < 0.4:
        angle, width = rng.uniform(0, np.pi), rng.uniform(0.8, 5)
        across = np.cos(angle) * dy + np.sin(angle) * dx - 0.3 * radius * rng.normal()
        path = path * (1 - rng.uniform(0.2, 1) * np.clip(width / 2 + 0.5 - np.abs(across), 0, 1))
    total[top:bottom, left:right] += rng.uniform(0.4, 1) * path


def _ellipsoid_chord(rng: np.random.Generator, radius: float) -> Chord:
    angle, stretch, depth = rng.uniform(0, np.pi), rng.uniform(0.7, 1.3), rng.uniform(0.6, 1.4)
    cosine, sine = np.cos(angle), np.sin(angle)

    def chord(dy: Plane, dx: Plane) -> Plane:
        squared = (stretch * (cosine * dy - sine * dx)) ** 2 + (cosine * dx + sine * dy) ** 2
        return np.asarray(2 * depth * np.sqrt(np.clip(radius**2 - squared, 0, None)))

    return chord


def _polyhedron_chord(rng: np.random.Generator, radius: float) -> Chord:
    """Half-spaces n . r <= d around the centre, the depth axis along the beam."""
    box = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    normals = np.concatenate([box, -box, rng.normal(size=(int(rng.integers(1, 10)), 3))])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    offsets = radius * rng.uniform(0.55, 1, len(normals))

    def chord(dy: Plane, dx: Plane) -> Plane:
        far = np.full(np.broadcast(dy, dx).shape, np.inf)
        near = -far
        for (ny, nx, nz), offset in zip(normals, offsets, strict=True):
            room = offset - ny * dy - nx * dx
            if nz > 0:
                far = np.minimum(far, room / nz)
            else:
                near = np.maximum(near, room / min(nz, -1e-6))
        return np.asarray(np.clip(far - near, 0, None))

    return chord


def _bar(length: float, width: float) -> Distance:
    return lambda dy, dx: np.maximum(np.abs(dy) - width / 2, np.abs(dx) - length / 2)


def _anywhere(rng: np.random.Generator, side: int) -> tuple[float, float]:
    y, x = rng.uniform(0, side, 2)
    return float(y), float(x)


def _covering(level: float, slant: float) -> Blend:
    return lambda there, cover, dx: there * (1 - cover) + cover * np.clip(level * (1 + slant * dx), 0, 1)


def _adding(level: float) -> Blend:
    return lambda there, cover, _dx: there + level * cover


def _thinning(share: float) -> Blend:
    return lambda there, cover, _dx: there * (1 - share * cover)
