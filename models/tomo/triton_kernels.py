"""The two matrix-free kernels of CUDA: rays gather pixels, pixels gather rays; slices lie along the threads.

This module needs triton and is imported only where it is there. Positions are found in double precision, for in single
precision they would be wrong by 1e-5 pixels at 560 pixels; chords and sums are single.
"""

# mypy: ignore-errors
# Triton reads these functions as its own language, in which Python's types say nothing.

import triton
import triton.language as tl

ROOT, RATIO, ADD = 0, 1, 2
"""How a pixel moves: to the root of its penalised equation, by a factor, or by a sum."""


@triton.jit
def _chord(distance, long, short):
    """Of a ray in a unit square, at a distance from its middle."""
    return tl.minimum(tl.maximum((0.5 * (long + short) - tl.abs(distance)) / tl.maximum(short, 1e-9), 0.0), 1.0) / long


@triton.jit
def project_rays(
    image,
    rays,
    directions,
    n_slices,
    n_z,
    n_x,
    n_detector,
    SQUARED: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """One ray, ``WIDTH`` slices: the sum over its pixels of chord, or squared chord, times image.

    ``directions`` holds cosine, sine and the axis of each angle in double precision, which a number passed alone loses.
    Along the axis in which a ray advances more, it meets at most two pixels of every row.
    """
    ray = tl.program_id(0)
    lane = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = lane < n_slices
    angle = ray // n_detector
    cosine = tl.load(directions + 3 * angle)
    sine = tl.load(directions + 3 * angle + 1)
    axis_index = tl.load(directions + 3 * angle + 2)
    along_z = tl.abs(cosine) >= tl.abs(sine)
    n_rows = tl.where(along_z, n_z, n_x)
    n_columns = tl.where(along_z, n_x, n_z)
    row_pitch = tl.where(along_z, n_x + 2, 1)
    column_pitch = tl.where(along_z, 1, n_x + 2)
    row_part = tl.where(along_z, sine, cosine)
    column_part = tl.where(along_z, cosine, sine)
    offset = ((ray % n_detector) - axis_index + 0.5 * (n_rows - 1) * row_part) / column_part + 0.5 * (n_columns - 1)
    step = row_part / column_part
    long = tl.abs(column_part).to(tl.float32)
    short = tl.abs(row_part).to(tl.float32)
    reach = 0.5 + 0.5 * short / long
    total = tl.zeros((WIDTH,), tl.float32)
    for row in range(0, n_rows):
        place = offset - row * step
        first = tl.ceil(place - reach)
        behind = (place - first).to(tl.float32) * long
        one = _chord(behind, long, short)
        other = _chord(long - behind, long, short)
        column = tl.minimum(tl.maximum(first, -2.0), n_columns + 0.0).to(tl.int32)
        one = tl.where((column >= 0) & (column < n_columns), one, 0.0)
        other = tl.where((column >= -1) & (column < n_columns - 1), other, 0.0)
        # Out of sight: any pixel will do, its chord is 0.
        near = tl.minimum(tl.maximum(column, -1), n_columns - 1)
        pixel = ((row + 1) * row_pitch + (near + 1) * column_pitch).to(tl.int64)
        if SQUARED:
            one = one * one
            other = other * other
        total += one * tl.load(image + pixel * n_slices + lane, mask=inside, other=0.0)
        total += other * tl.load(image + (pixel + column_pitch) * n_slices + lane, mask=inside, other=0.0)
    tl.store(rays + ray.to(tl.int64) * n_slices + lane, total, mask=inside)


@triton.jit
def move_pixels(
    image,
    updated,
    rays,
    measured,
    directions,
    n_slices,
    n_z,
    n_x,
    n_angles,
    n_detector,
    twice_beta,
    inverse_delta,
    MODE: tl.constexpr,
    GAPS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """One pixel, ``WIDTH`` slices: gather its rays, draw it towards its neighbours, and solve its equation.

    ``measured`` is 1 or 0 for each ray and slice, and read only where there are ``GAPS``.
    """
    i = tl.program_id(0) // n_x
    j = tl.program_id(0) % n_x
    lane = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = lane < n_slices
    back = tl.zeros((WIDTH,), tl.float32)
    slope = tl.zeros((WIDTH,), tl.float32)
    for angle in range(0, n_angles):
        cosine = tl.load(directions + 3 * angle)
        sine = tl.load(directions + 3 * angle + 1)
        axis_index = tl.load(directions + 3 * angle + 2)
        long = tl.maximum(tl.abs(cosine), tl.abs(sine)).to(tl.float32)
        short = tl.minimum(tl.abs(cosine), tl.abs(sine)).to(tl.float32)
        position = (j + 0.5 - 0.5 * n_x) * cosine + (i + 0.5 - 0.5 * n_z) * sine + axis_index
        first = tl.ceil(position - 0.5 * (long + short))
        behind = (position - first).to(tl.float32)
        one = _chord(behind, long, short)
        other = _chord(1.0 - behind, long, short)
        element = tl.minimum(tl.maximum(first, -2.0), n_detector + 0.0).to(tl.int32)
        one = tl.where((element >= 0) & (element < n_detector), one, 0.0)
        other = tl.where((element >= -1) & (element < n_detector - 1), other, 0.0)
        start = (angle * n_detector + tl.minimum(tl.maximum(element, 0), n_detector - 1)).to(tl.int64) * n_slices
        end = (angle * n_detector + tl.minimum(tl.maximum(element + 1, 0), n_detector - 1)).to(tl.int64) * n_slices
        back += one * tl.load(rays + start + lane, mask=inside, other=0.0)
        back += other * tl.load(rays + end + lane, mask=inside, other=0.0)
        if GAPS:
            slope += one * tl.load(measured + start + lane, mask=inside, other=0.0)
            slope += other * tl.load(measured + end + lane, mask=inside, other=0.0)
        else:
            slope += one + other
    pixel = ((i + 1) * (n_x + 2) + j + 1).to(tl.int64)
    x = tl.load(image + pixel * n_slices + lane, mask=inside, other=0.0)
    seen = slope > 0
    if MODE == 0:
        beside_z = tl.where(i > 0, 1, 0) + tl.where(i < n_z - 1, 1, 0)
        beside_x = tl.where(j > 0, 1, 0) + tl.where(j < n_x - 1, 1, 0)
        share = twice_beta / (beside_z + beside_x + 0.7071067811865476 * beside_z * beside_x)
        curvature = tl.zeros((WIDTH,), tl.float32)
        for place in tl.static_range(9):
            if place != 4:
                up = place // 3 - 1
                right = place % 3 - 1
                there = (i + up >= 0) & (i + up < n_z) & (j + right >= 0) & (j + right < n_x)
                weight = tl.where(there, share, 0.0)
                if up * right != 0:
                    weight = weight * 0.7071067811865476
                beyond = pixel + up * (n_x + 2) + right
                neighbour = tl.load(image + beyond * n_slices + lane, mask=inside, other=0.0)
                drawn = weight / (1.0 + tl.abs(x - neighbour) * inverse_delta)
                curvature += drawn
                slope -= drawn * (x + neighbour)
        likely = x * back
        root = tl.sqrt(slope * slope + 8.0 * likely * curvature)
        rising = slope > 0
        above = tl.where(rising, 2.0 * likely, root - slope)
        result = above / tl.where(rising, slope + root, 4.0 * curvature)
    elif MODE == 1:
        result = tl.where(seen, x * back / tl.where(seen, slope, 1.0), x)
    else:
        result = tl.where(seen, x + back / tl.where(seen, slope, 1.0), x)
    tl.store(updated + pixel * n_slices + lane, result, mask=inside)
