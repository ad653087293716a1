import numpy as np
import pytest
import torch

from models.physics.flyscan import FlyScanOperator, fly_kernel, matched_probe
from models.physics.probe import Probe, gaussian_probe, zone_plate_probe
from models.scan import Motion

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def probe() -> Probe:
    return zone_plate_probe(n=64)


@pytest.fixture(scope="module")
def uneven_probe() -> Probe:
    lobe = gaussian_probe(50, n=64).modes[0]
    return Probe.centred((lobe + 0.6 * np.roll(lobe, (3, 8), axis=(0, 1)))[None], 7.5, 10.0)


def reading(fine: np.ndarray, probe: Probe, centre: tuple[float, float], width: float, n_positions: int) -> float:
    """Beam intensity at its own place times specimen, averaged over positions along the motion: point by point."""
    n = len(probe.modes[0])
    spectrum = np.fft.fft2(np.fft.ifftshift(probe.intensity().astype(float)), (n, n))
    f = np.fft.fftfreq(n)
    total = 0.0
    for position in (np.arange(n_positions) + 0.5) / n_positions - 0.5 if width else [0.0]:
        y, x = centre[0], centre[1] + position * width
        first = np.array([np.floor(y), np.floor(x)]).astype(int)
        ramp = np.exp(-2j * np.pi * (f[:, None] * (y - first[0]) + f * (x - first[1])))
        beam = np.fft.fftshift(np.fft.ifft2(spectrum * ramp).real)
        rows, columns = (slice(start - n // 2, start + n // 2) for start in first)
        total += float(np.sum(beam * fine[rows, columns]))
    return total / (n_positions if width else 1)


@pytest.mark.parametrize("motion", ["fly", "step"])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_agrees_with_a_sum_over_forty_positions_of_the_beam(uneven_probe: Probe, scale: int, motion: Motion) -> None:
    operator = FlyScanOperator(uneven_probe, (3, 4), scale, motion)
    margin = operator.margin_px
    # Wider than needed, so that the reference may look past the last pixel the kernel weighs.
    wide = np.random.default_rng(1).random((operator.fine_shape[0] + 8, operator.fine_shape[1] + 8)).astype(np.float32)
    fine = wide[4:-4, 4:-4]
    measured = operator.forward(torch.from_numpy(fine.copy())).numpy()
    for i in range(3):
        for j in range(4):
            centre = (4 + margin + scale * i + (scale - 1) / 2, 4 + margin + scale * j + (scale - 1) / 2)
            expected = reading(wide, uneven_probe, centre, scale if motion == "fly" else 0, 40)
            assert measured[i, j] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("motion", ["fly", "step"])
@pytest.mark.parametrize(("scale", "shape"), [(1, (5, 9)), (3, (7, 4)), (4, (6, 6)), (16, (2, 5))])
def test_adjoint_matches_forward_operator(
    probe: Probe, scale: int, shape: tuple[int, int], motion: Motion, device: str
) -> None:
    operator = FlyScanOperator(probe, shape, scale, motion)
    generator = torch.Generator().manual_seed(2)
    fine = torch.randn(2, 3, *operator.fine_shape, generator=generator).to(device)
    coarse = torch.randn(2, 3, *shape, generator=generator).to(device)
    forward, adjoint = operator.forward(fine), operator.adjoint(coarse)
    assert forward.dtype == adjoint.dtype == torch.float32
    assert forward.device.type == adjoint.device.type == device
    left, right = torch.sum(forward.double() * coarse), torch.sum(fine.double() * adjoint)
    size = torch.linalg.norm(forward) * torch.linalg.norm(coarse)
    assert abs(left - right) < 1e-5 * size


@pytest.mark.parametrize("motion", ["fly", "step"])
@pytest.mark.parametrize("scale", [1, 2, 5, 16])
def test_kernel_has_unit_sum_and_its_centroid_on_the_middle_of_the_block(
    probe: Probe, scale: int, motion: Motion
) -> None:
    kernel = fly_kernel(probe.intensity(), scale, motion).astype(float)
    position = np.arange(len(kernel)) - (len(kernel) - 1) / 2
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert (kernel.sum(axis=0) @ position, kernel.sum(axis=1) @ position) == pytest.approx((0, 0), abs=0.02)


def test_motion_widens_the_kernel_by_a_step_along_x_only() -> None:
    intensity = gaussian_probe(60).intensity()
    fly, step = (fly_kernel(intensity, 12, motion).astype(float) for motion in ("fly", "step"))
    position = np.arange(len(fly)) - (len(fly) - 1) / 2
    widened = (fly - step).sum(axis=0) @ position**2, (fly - step).sum(axis=1) @ position**2
    assert widened == pytest.approx((12**2 / 12, 0), abs=0.01)


@pytest.mark.parametrize(("moved_px", "tolerated"), [(2.0, 0.01), (4.0, 0.04)])
def test_motion_that_the_probe_holds_already_is_not_added_again(
    probe: Probe, moved_px: float, tolerated: float
) -> None:
    intensity = probe.intensity().astype(np.float64)
    box = np.sinc(moved_px * np.fft.rfftfreq(len(intensity)))
    holding = np.fft.irfft2(np.fft.rfft2(intensity) * box, intensity.shape)
    true, once, twice = (
        fly_kernel(*arguments)
        for arguments in ((intensity, 8, "fly"), (holding, 8, "fly", moved_px), (holding, 8, "fly"))
    )
    error, counted_twice = (np.linalg.norm(kernel - true) / np.linalg.norm(true) for kernel in (once, twice))
    assert error < tolerated
    assert error < 0.8 * counted_twice
    np.testing.assert_allclose(fly_kernel(holding, 2, "fly", 4.0), fly_kernel(holding, 2, "step"), atol=1e-7)


def test_motion_blurs_alike_in_both_directions_so_snake_rows_need_nothing_special(uneven_probe: Probe) -> None:
    fly, step = (np.fft.fft2(fly_kernel(uneven_probe.intensity(), 8, motion)) for motion in ("fly", "step"))
    blur = fly * step.conj()
    assert np.abs(blur.imag).max() < 1e-5
    assert np.abs(step.imag).max() > 0.1


@pytest.mark.parametrize("scale", [3, 4])
def test_a_point_is_brightest_under_its_own_coarse_point(scale: int) -> None:
    operator = FlyScanOperator(gaussian_probe(20, n=64), (5, 6), scale, "fly")
    fine = torch.zeros(operator.fine_shape)
    middle = operator.margin_px + scale // 2
    fine[middle + 2 * scale, middle + 4 * scale] = 1
    assert torch.argmax(operator.forward(fine)) == 2 * 6 + 4


def test_an_uneven_beam_weighs_the_specimen_at_its_own_place(uneven_probe: Probe) -> None:
    operator = FlyScanOperator(uneven_probe, (1, 1), 1, "step")
    fine = torch.zeros(operator.fine_shape)
    fine[operator.margin_px + 3, operator.margin_px + 5] = 1
    expected = uneven_probe.intensity()[32 + 3, 32 + 5]
    assert operator.forward(fine).item() == pytest.approx(expected, rel=1e-3)


def test_a_constant_specimen_reads_constant_to_the_border(probe: Probe) -> None:
    operator = FlyScanOperator(probe, (4, 7), 4, "fly")
    torch.testing.assert_close(operator.forward(torch.full(operator.fine_shape, 3.0)), torch.full((4, 7), 3.0))


def test_specimen_beyond_one_border_is_not_seen_at_the_other(probe: Probe) -> None:
    operator = FlyScanOperator(probe, (20, 22), 4, "fly")
    fine = torch.zeros(operator.fine_shape)
    fine[:, : operator.margin_px] = 1e3
    seen = operator.forward(fine)
    assert seen[:, 0].min() > 1
    assert seen[:, -2:].abs().max() < 1e-2


def test_binned_operator_reads_a_blocky_specimen_as_the_full_one_does(probe: Probe) -> None:
    full, binned = FlyScanOperator(probe, (3, 5), 12, "fly"), FlyScanOperator(probe, (3, 5), 4, "fly", binning=3)
    extra = 3 * binned.margin_px - full.margin_px
    blocks = torch.rand(binned.fine_shape, generator=torch.Generator().manual_seed(3))
    fine = blocks.repeat_interleave(3, 0).repeat_interleave(3, 1)
    inner = fine[extra : fine.shape[0] - extra, extra : fine.shape[1] - extra]
    torch.testing.assert_close(binned.forward(blocks), full.forward(inner), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("step_nm", "scale", "pixel_size_nm", "binning"),
    [(120, 4, 7.5, 4), (30, 4, 7.5, 1), (100, 4, 6.25, 4), (60, 16, 3.75, 1)],
)
def test_matched_probe_divides_the_fine_pixel_and_never_gets_coarser(
    probe: Probe, step_nm: float, scale: int, pixel_size_nm: float, binning: int
) -> None:
    matched, found = matched_probe(probe, step_nm, scale)
    assert (matched.pixel_size_nm, found) == (pytest.approx(pixel_size_nm), binning)


def test_wrong_shapes_and_scales_are_refused(probe: Probe) -> None:
    operator = FlyScanOperator(probe, (4, 7), 4, "fly")
    with pytest.raises(ValueError, match="fine map has shape"):
        operator.forward(torch.zeros(16, 28))
    with pytest.raises(ValueError, match="coarse map has shape"):
        operator.adjoint(torch.zeros(7, 4))
    with pytest.raises(ValueError, match="scale is 0"):
        fly_kernel(probe.intensity(), 0, "fly")
    with pytest.raises(ValueError, match="'fly' or 'step'"):
        fly_kernel(probe.intensity(), 2, "hop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="binning is 0"):
        FlyScanOperator(probe, (4, 7), 4, "fly", binning=0)
