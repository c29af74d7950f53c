"""Rows of the last glimpses: what is kept, in which order."""

import numpy as np
import pytest
import torch as th
from episodes import classifier, random_episodes

from glimpse_envs import GlimpseConfig
from policies.classifier.last_glimpses import LastGlimpses
from policies.classifier.model import TorchClassifier, View

SHAPE = (4, 6, 3)


@pytest.mark.parametrize("most", [1, 3, 5])
def test_rows_give_back_the_last_glimpses_that_were_appended(most):
    rng, kept = np.random.default_rng(0), LastGlimpses(most, SHAPE)
    glimpses = rng.integers(0, 256, (2, 5, *SHAPE), dtype=np.uint8)
    gaze = rng.random((2, 5, 3), np.float32)
    rows = kept.empty(2)
    assert kept.read(rows)[0].shape == (2, 0, *SHAPE)
    for t in range(5):
        before = rows.copy()
        after = kept.appended(rows, glimpses[:, t], gaze[:, t])
        np.testing.assert_array_equal(rows, before)
        rows = after
        first = max(0, t + 1 - most)
        read = kept.read(rows)
        np.testing.assert_array_equal(read[0], glimpses[:, first : t + 1])
        np.testing.assert_array_equal(read[1], gaze[:, first : t + 1])
        np.testing.assert_array_equal(read[2], [t + 1 - first] * 2)


def test_rows_of_different_numbers_of_glimpses_lie_beside_each_other():
    rng, kept = np.random.default_rng(0), LastGlimpses(3, SHAPE)
    glimpses = rng.integers(1, 256, (3, 4, *SHAPE), dtype=np.uint8)
    gaze = rng.random((3, 4, 3), np.float32)
    rows, numbers = kept.empty(3), [4, 1, 2]
    for t in range(4):
        going = [lane for lane in range(3) if numbers[lane] > t]
        rows[going] = kept.appended(rows[going], glimpses[going, t], gaze[going, t])
    read = kept.read(rows)
    np.testing.assert_array_equal(read[2], [3, 1, 2])
    for lane, first in enumerate((1, 0, 0)):
        count = read[2][lane]
        np.testing.assert_array_equal(read[0][lane, :count], glimpses[lane, first : first + count])
        np.testing.assert_array_equal(read[1][lane, :count], gaze[lane, first : first + count])
        assert not read[0][lane, count:].any() and not read[1][lane, count:].any()


def test_no_rows_are_none_and_gazes_may_lie_in_memory_as_they_like():
    kept = LastGlimpses(3, SHAPE)
    rows = kept.appended(kept.empty(0), np.zeros((0, *SHAPE), np.uint8), np.zeros((0, 3)))
    assert rows.shape == kept.empty(0).shape and kept.read(rows)[0].shape == (0, 0, *SHAPE)
    gaze = np.asfortranarray(np.random.default_rng(0).random((4, 3)))
    rows = kept.appended(kept.empty(4), np.zeros((4, *SHAPE), np.uint8), gaze)
    np.testing.assert_array_equal(kept.read(rows)[1][:, 0], gaze.astype(np.float32))


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_a_framed_canvas_forgets_the_oldest_glimpses_alike_in_acting_and_training(keep):
    reader, episodes = classifier("canvas", frame=24, keep=keep).memory, random_episodes(9)
    longest = np.full(9, 4)
    state = reader.start(9)
    for t in range(4):
        state, hidden = reader.step(state, episodes.glimpses[:, t], episodes.gaze[:, t])
    read = reader.encode(reader.canvases(episodes.glimpses, episodes.gaze, longest))
    np.testing.assert_allclose(read.detach(), hidden.detach(), rtol=1e-4, atol=1e-5)
    last = [part[:, 4 - keep :] for part in (episodes.glimpses, episodes.gaze)]
    wanted = reader.layout.painted(
        np.ascontiguousarray(last[0]), np.ascontiguousarray(last[1]), np.full(9, keep), 24
    )
    np.testing.assert_array_equal(
        reader.canvases(episodes.glimpses, episodes.gaze, longest), wanted
    )


def test_gradients_reach_the_kept_glimpses_alone():
    reader, episodes = classifier("canvas", frame=24, keep=2).memory, random_episodes(5)
    pixels = th.as_tensor(episodes.glimpses).permute(0, 1, 4, 2, 3).float().requires_grad_()
    hidden = reader.follow(pixels, episodes.gaze, np.full(5, 4))
    (slope,) = th.autograd.grad(hidden.sum(), pixels)
    reached = slope.flatten(2).abs().sum(2) > 0
    assert not reached[:, :2].any() and reached[:, 3].all()


@pytest.mark.parametrize(
    ("budget", "settings", "keep"), [(16, {}, 16), (20, {}, 20), (20, {"keep": 4}, 4)]
)
def test_a_classifier_has_room_for_the_budget_that_it_is_made_for(budget, settings, keep):
    canvas = {"type": "canvas", "width": 2, "frame": 16, **settings}
    made = GlimpseConfig(classifier=canvas, scheme="Saccade", budget=budget)
    assert made.classifier.memory.last.most == keep
    short = TorchClassifier(View.of(made), "canvas", width=2, frame=16, **settings)
    used = GlimpseConfig(classifier=short, scheme="Saccade", budget=budget).classifier
    assert used.memory.last.most == keep and (used is short) == (keep == short.memory.last.most)
    weights = zip(used.state_dict().values(), short.state_dict().values(), strict=True)
    assert all(th.equal(*pair) for pair in weights)


@pytest.mark.parametrize("keep", [0, 256])
def test_a_number_of_glimpses_that_a_byte_does_not_count_is_refused(keep):
    with pytest.raises(ValueError, match=rf"got keep={keep}; wanted 1 to 255"):
        classifier("canvas", frame=24, keep=keep)
