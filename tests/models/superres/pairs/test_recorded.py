"""Recorded pairs keep fulfilling the forward model, however they are cut and turned."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.physics.flyscan import scan_kernel
from models.superres.networks.data_step import read_by_scan, transfer
from models.superres.pairs.recorded import RecordedPairs, whole_pair
from models.superres.pairs.recording import FineScan, Recording
from models.superres.training.through_scan import chi_squared, judged_points, readings_of

SIDE_PX = 8  # of the probe's window: a kernel reaches 4 fine pixels beyond a point's block


def _recording(scale: int = 4, shape: tuple[int, int] = (16, 20), seed: int = 0) -> Recording:
    """Noise-free, with a probe that no turn or mirror leaves as it is."""
    rng = np.random.default_rng(seed)
    focus = np.zeros((SIDE_PX, SIDE_PX))
    focus[3:6, 3:5] = rng.random((3, 2)) + 0.1
    kernel = scan_kernel(focus, scale, "fly")
    fine = (1 + rng.random([scale * n for n in shape])).astype(np.float32)
    spectrum = transfer(torch.from_numpy(kernel)[None], scale, (fine.shape[0], fine.shape[1]))
    coarse = read_by_scan(torch.from_numpy(fine)[None, None], spectrum, scale)[0, 0].numpy()
    variance = np.full(shape, 1e-4, np.float32)
    return Recording(coarse, variance, np.ones(shape, bool), fine, kernel, scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_turned_and_mirrored_pairs_fulfil_the_forward_model(scale: int) -> None:
    pairs = RecordedPairs([_recording(scale)], coarse_px=10).draw(24, seed=1, step=0)
    assert len({tuple(kernel.flatten().tolist()) for kernel in pairs.measured.kernel}) == 8
    spectrum = transfer(pairs.measured.kernel, scale, (10 * scale, 10 * scale))
    read = read_by_scan(pairs.fine, spectrum, scale)
    inner = np.s_[..., 3:-3, 3:-3]  # nearer to the border a point reads what was cut off
    torch.testing.assert_close(read[inner], pairs.measured.readings[inner], atol=1e-5, rtol=0)


def test_a_step_gives_the_same_pairs_whatever_came_before() -> None:
    source = RecordedPairs([_recording(), _recording(seed=1)], coarse_px=10)
    first = source.draw(3, seed=1, step=7)
    source.draw(3, seed=1, step=8)
    again = source.draw(3, seed=1, step=7)
    assert torch.equal(first.measured.readings, again.measured.readings)
    assert torch.equal(first.fine, again.fine)


def test_pairs_are_divided_by_their_full_scale_with_their_noise() -> None:
    bright = _recording()
    brighter = replace(bright, coarse=100 * bright.coarse, fine=100 * bright.fine, variance=1e4 * bright.variance)
    one, other = (RecordedPairs([recording], 10).draw(2, seed=0, step=0) for recording in (bright, brighter))
    torch.testing.assert_close(one.measured.readings, other.measured.readings)
    torch.testing.assert_close(one.measured.variance, other.measured.variance)
    torch.testing.assert_close(one.fine, other.fine)
    assert one.measured.readings.amax((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=0.1)


def test_what_stands_in_a_hole_is_never_seen() -> None:
    whole = _recording()
    mask = np.ones_like(whole.mask)
    mask[5:7, 4:] = False
    holed = [replace(whole, mask=mask, coarse=np.where(mask, whole.coarse, value)) for value in (np.nan, 1e6)]
    drawn = [RecordedPairs([recording], 14).draw(2, seed=0, step=0) for recording in holed]
    assert torch.equal(drawn[0].measured.readings, drawn[1].measured.readings)
    assert torch.isfinite(drawn[0].measured.readings).all()
    assert 0 < drawn[0].measured.mask.mean() < 1


def test_recordings_of_several_sizes_and_scales_make_batches() -> None:
    source = RecordedPairs([_recording(4), _recording(3, (9, 12)), _recording(3, (30, 12))], coarse_px=12)
    scales = set()
    for step in range(12):
        pairs = source.draw(2, seed=0, step=step)
        scale, side = pairs.measured.scale, pairs.measured.readings.shape[-1]
        assert pairs.fine.shape == (2, 1, scale * side, scale * side)
        scales.add(scale)
    assert scales == {3, 4}


def test_the_description_follows_every_number() -> None:
    recording = _recording()
    other = replace(recording, variance=recording.variance * np.float32(1.001))
    assert len({RecordedPairs([one], 10).description for one in (recording, other)}) == 2
    assert RecordedPairs([recording], 10).description == RecordedPairs([_recording()], 10).description


_GOOD = _recording()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": 3}, r"fine has shape \(64, 80\): \(48, 60\) is needed"),
        ({"variance": _GOOD.variance[1:]}, r"variance has shape \(15, 20\): \(16, 20\)"),
        ({"coarse": _GOOD.coarse[:4]}, "at least 8"),
        ({"kernel": _GOOD.kernel[:-1, :-1]}, "an even side is needed at scale 4"),
        ({"kernel": 2 * _GOOD.kernel}, "kernel sums to 2: divide"),
        ({"coarse": _GOOD.coarse * np.float32(np.nan)}, "coarse is not finite at points that mask takes as measured"),
        ({"fine": _GOOD.fine * np.float32(np.nan)}, "fine has NaN"),
        ({"variance": -_GOOD.variance}, "variance is negative"),
        ({"mask": np.zeros_like(_GOOD.mask)}, "mask is zero everywhere"),
        ({"fine": 16 * _GOOD.fine}, "give both in one unit"),
    ],
)
def test_what_does_not_belong_together_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(_GOOD, **change)  # type: ignore[arg-type]


def test_no_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RecordedPairs([], 10)


def _read_by_fine_scan(truth: Recording, fine_scale: int = 2) -> Recording:
    """The same specimen, its fine map read by a scan that stands beside its place."""
    rng = np.random.default_rng(7)
    focus = np.zeros((SIDE_PX, SIDE_PX))
    focus[1:4, 4:7] = rng.random((3, 3)) + 0.1
    kernel = scan_kernel(focus, fine_scale, "fly")
    fine = readings_of(torch.from_numpy(truth.fine)[None, None], torch.from_numpy(kernel)[None], fine_scale)[0, 0]
    mask = np.ones(fine.shape, bool)
    scan = FineScan(np.full(fine.shape, 1e-4, np.float32), mask, kernel, fine_scale)
    return replace(truth, fine=fine.numpy(), fine_scan=scan)


@pytest.mark.parametrize("fine_scale", [1, 2, 4])
def test_turned_and_mirrored_fine_scans_read_the_turned_and_mirrored_truth(fine_scale: int) -> None:
    truth = _recording(4)
    known = RecordedPairs([truth], coarse_px=10).draw(24, seed=1, step=0)
    seen = RecordedPairs([_read_by_fine_scan(truth, fine_scale)], coarse_px=10).draw(24, seed=1, step=0)
    assert torch.equal(known.measured.readings, seen.measured.readings)
    assert known.fine_scan is None
    assert seen.fine_scan is not None
    assert len({tuple(kernel.flatten().tolist()) for kernel in seen.fine_scan.kernel}) == 8
    read = readings_of(known.fine, seen.fine_scan.kernel, fine_scale)
    reach = -(-5 // fine_scale) + 1
    inner = np.s_[..., reach:-reach, reach:-reach]
    torch.testing.assert_close(read[inner], seen.fine_scan.readings[inner], atol=1e-5, rtol=0)


def test_the_truth_explains_what_a_fine_scan_read_in_the_unit_of_the_pair() -> None:
    truth = _recording(4, (24, 24))
    known, seen = (whole_pair(one) for one in (truth, _read_by_fine_scan(truth)))
    assert seen.fine_scan is not None
    judged = judged_points(seen.fine_scan)
    assert chi_squared(known.fine, seen.fine_scan, judged).item() < 1e-3
    assert seen.fine_scan.variance.mean().item() == pytest.approx(seen.measured.variance.mean().item(), rel=1e-3)


def test_what_stands_in_a_hole_of_the_fine_scan_is_marked() -> None:
    whole = _read_by_fine_scan(_recording())
    assert whole.fine_scan is not None
    mask = whole.fine_scan.mask.copy()
    mask[8:12] = False
    fine = np.where(mask, whole.fine, np.nan).astype(np.float32)
    pairs = whole_pair(replace(whole, fine=fine, fine_scan=replace(whole.fine_scan, mask=mask)))
    assert pairs.fine_scan is not None
    np.testing.assert_array_equal(pairs.fine_scan.mask[0, 0].numpy() > 0, mask)
    assert torch.isfinite(pairs.fine_scan.readings).all()


def test_a_batch_is_of_truths_or_of_fine_scans_of_one_step() -> None:
    truth = _recording()
    source = RecordedPairs([truth, _read_by_fine_scan(truth, 1), _read_by_fine_scan(truth, 2)], coarse_px=10)
    kinds = set()
    for step in range(20):
        scan = source.draw(3, seed=0, step=step).fine_scan
        kinds.add(0 if scan is None else scan.scale)
    assert kinds == {0, 1, 2}


def test_the_description_follows_the_fine_scan() -> None:
    one = _read_by_fine_scan(_recording())
    assert one.fine_scan is not None
    other = replace(one, fine_scan=replace(one.fine_scan, variance=2 * one.fine_scan.variance))
    assert len({RecordedPairs([recording], 10).description for recording in (one, other, _recording())}) == 3


_SEEN = _read_by_fine_scan(_recording())
assert _SEEN.fine_scan is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": 3}, "fine_scale is 3: a divisor of the scale 4"),
        ({"kernel": _SEEN.fine_scan.kernel[1:, 1:]}, "fine_kernel has shape .* an even side is needed at scale 2"),
        ({"kernel": 2 * _SEEN.fine_scan.kernel}, "fine_kernel sums to 2"),
        ({"variance": _SEEN.fine_scan.variance[1:]}, r"fine_variance has shape \(31, 40\): \(32, 40\)"),
        ({"variance": -_SEEN.fine_scan.variance}, "fine_variance is negative"),
        ({"mask": np.zeros_like(_SEEN.fine_scan.mask)}, "fine_mask is zero everywhere"),
    ],
)
def test_a_fine_scan_that_does_not_belong_to_its_maps_is_refused(change: dict[str, object], words: str) -> None:
    assert _SEEN.fine_scan is not None
    with pytest.raises(ValueError, match=words):
        replace(_SEEN, fine_scan=replace(_SEEN.fine_scan, **change))  # type: ignore[arg-type]
