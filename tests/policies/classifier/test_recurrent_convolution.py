"""The recurrent convolutional memory: what each connection does, and every way of reading it."""

import numpy as np
import pytest
import torch as th
from episodes import classifier, config, random_episodes
from torch import nn
from torch.nn import functional as F

from glimpse_envs.core import GlimpseCore, Sequences
from policies.classifier.canvas import CanvasLayout
from policies.classifier.recurrent_convolution import RecurrentConvolution
from policies.classifier.trainer import Fitter

SETTINGS = [
    {},
    {"steps": 3},
    {"composite": False},
    {"lateral": False},
    {"top_down": False, "composite": False},
    {"interpolate": True},
]


def memory(**settings: object) -> RecurrentConvolution:
    return classifier("rcn", **settings).memory


def trained(longest: int, **settings: object) -> RecurrentConvolution:
    """With statistics of as many glimpses."""
    reader = memory(**settings)
    reader.train()
    for seed in range(20):
        with th.no_grad():
            reader.prefixes(random_episodes(16, longest, seed), 1.0, np.random.default_rng(0))
    return reader.eval()


def stepped(reader: RecurrentConvolution, episodes: Sequences) -> np.ndarray:
    """Hidden vectors after every glimpse, read one by one, float32 (n, T, hidden_size)."""
    state, hidden = reader.start(len(episodes.labels)), []
    with th.no_grad():
        for t in range(episodes.gaze.shape[1]):
            state, features = reader.step(state, episodes.glimpses[:, t], episodes.gaze[:, t])
            hidden.append(features.numpy())
    return np.stack(hidden, 1)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_steps_prefixes_and_following_give_the_same(settings):
    reader, episodes = trained(4, **settings), random_episodes(9)
    hidden = stepped(reader, episodes)
    with th.no_grad():
        prefixes = reader.prefixes(episodes, 0.3, np.random.default_rng(0))
    pairs = list(zip(prefixes.rows.tolist(), prefixes.counts.tolist(), strict=True))
    counts = episodes.counts.tolist()
    assert sorted(pairs) == [(row, t + 1) for row, count in enumerate(counts) for t in range(count)]
    wanted = hidden[prefixes.rows, prefixes.counts - 1]
    np.testing.assert_allclose(prefixes.hidden, wanted, rtol=1e-4, atol=1e-4)
    pixels = th.as_tensor(episodes.glimpses).permute(0, 1, 4, 2, 3).float().requires_grad_()
    followed = reader.follow(pixels, episodes.gaze, episodes.counts)
    last = hidden[np.arange(9), episodes.counts - 1]
    # bytes are rounded where values are interpolated
    tolerance = 0.05 if settings.get("interpolate") else 1e-4
    np.testing.assert_allclose(followed.detach(), last, rtol=tolerance, atol=tolerance)
    (gradient,) = th.autograd.grad(followed.sum(), pixels)
    seen = th.as_tensor(np.arange(4) < episodes.counts[:, None])
    assert not gradient[~seen].any()
    at_end = gradient[np.arange(9), episodes.counts - 1]
    assert at_end.flatten(1).any(dim=1).all()


def test_glimpses_after_an_episodes_end_are_not_read():
    reader, episodes = trained(4), random_episodes(8)
    spoilt = episodes._replace(gaze=episodes.gaze.copy(), glimpses=episodes.glimpses.copy())
    after = np.arange(4) >= episodes.counts[:, None]
    spoilt.gaze[after], spoilt.glimpses[after] = np.nan, 255
    rng = np.random.default_rng(0)
    with th.no_grad():
        hidden = [reader.prefixes(these, 0.3, rng).hidden for these in (episodes, spoilt)]
    assert th.equal(*hidden)


def test_a_lane_that_begins_anew_reads_as_one_alone():
    reader = classifier("rcn")
    core = GlimpseCore(config(classifier=reader, observe_classifier_features=True, budget=5), 3)
    core.seed_all(0)
    core.reset(core.lanes)
    go_on = np.zeros((3, 3), np.int64)
    for _ in range(2):
        core.step(go_on)
    core.reset(np.array([1]))
    seen = core.step(go_on)
    state, image = reader.start(1), core.image(1)[None]
    for gaze in core.history[1, :2, None]:
        state, belief, hidden = reader.update(state, core.config.sensor(image, gaze), gaze)
    np.testing.assert_allclose(seen.observation["belief"][1], belief[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        seen.observation["classifier_features"][1], hidden[0], rtol=1e-5, atol=1e-6
    )
    assert core.n_glimpses.tolist() == [4, 2, 4]


# ---- connections ----


def states(reader: RecurrentConvolution, drive: th.Tensor, n: int) -> list[list[th.Tensor]]:
    """Of all layers after each of n glimpses that are alike."""
    found, before = [], None
    with th.no_grad():
        for t in range(n):
            before = reader._advance(drive, before, th.full((len(drive),), t))
            found.append(before)
    return found


def test_a_time_step_is_the_published_equation():
    """Bottom-up of this step, lateral and top-down of the one before; halves are grown twofold."""
    reader, drive = trained(4), th.rand(2, 4, 4, 4)
    first, second = states(reader, drive, 2)

    def convolved(layer: nn.Conv2d, features: th.Tensor) -> th.Tensor:
        return F.conv2d(features, layer.weight, stride=layer.stride, padding=1)

    for level, area in enumerate(reader.areas):
        wanted = drive if level == 0 else convolved(area.bottom_up, second[level - 1])
        wanted = wanted + convolved(area.lateral, first[level])
        if level < 2:
            small = convolved(area.top_down, first[level + 1])
            wanted = wanted + small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        wanted = wanted.sub(area.norm.running_mean[1][:, None, None])
        wanted = wanted / (area.norm.running_var[1][:, None, None] + 1e-5).sqrt()
        assert th.allclose(second[level], wanted.relu(), atol=1e-4)


@pytest.mark.parametrize("lateral", [False, True])
@pytest.mark.parametrize("top_down", [False, True])
def test_connections_are_there_or_not(lateral, top_down):
    reader = memory(lateral=lateral, top_down=top_down)
    first, second = states(reader, th.rand(2, 4, 4, 4), 2)
    changed = [not th.equal(a, b) for a, b in zip(first, second, strict=True)]
    assert changed == [lateral or top_down] * 3  # what is above follows what is below
    names = [name for name, _ in reader.named_parameters()]
    assert sum("lateral" in name for name in names) == 3 * lateral
    assert sum("top_down" in name for name in names) == 2 * top_down


def test_more_time_steps_read_a_glimpse_longer():
    once, twice = memory(), memory(steps=2)
    twice.load_state_dict(once.state_dict())
    drive = th.rand(2, 4, 4, 4)
    for ours, theirs in zip(states(once, drive, 4)[1::2], states(twice, drive, 2), strict=True):
        assert all(th.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("composite", [False, True])
def test_what_enters_is_this_glimpse_or_all_so_far(composite):
    reader, episodes = memory(composite=composite), random_episodes(5)
    canvases = reader.layout.empty(5)
    for t in range(3):
        canvases, seen = reader._see(canvases, episodes.glimpses[:, t], episodes.gaze[:, t])
    whole, last = reader.layout.empty(5), reader.layout.empty(5)
    reader.layout.paint(whole, episodes.glimpses, episodes.gaze, np.full(5, 3))
    reader.layout.paint(
        last, episodes.glimpses[:, 2:3].copy(), episodes.gaze[:, 2:3].copy(), np.ones(5, np.int64)
    )
    np.testing.assert_array_equal(canvases, whole)
    np.testing.assert_array_equal(seen, whole if composite else last)
    assert not np.array_equal(whole, last)


# ---- normalisation ----


def test_each_time_step_has_the_mean_and_variance_of_its_own_batches():
    norm = RecurrentConvolution(memory().layout, width=2).areas[0].norm.train()
    rng = th.Generator().manual_seed(0)
    for _ in range(200):
        for step in range(3):
            features = step + (1 + step) * th.randn(16, 2, 4, 4, generator=rng)
            normed = norm(features, th.full((16,), step))
            assert normed.mean().abs() < 1e-4
            assert normed.std().item() == pytest.approx(1.0, abs=0.01)
    assert norm.n_trained == 3
    steps = th.tensor([0, 1, 2])[:, None]
    assert th.allclose(norm.running_mean[:3], steps.float(), atol=0.3)
    assert th.allclose(norm.running_var[:3].sqrt(), 1.0 + steps, rtol=0.1)
    norm.eval()
    features = th.randn(5, 2, 4, 4, generator=rng)
    mixed = norm(features, th.tensor([2, 0, 1, 3, 400]))
    for row, step in enumerate([2, 0, 1, 2, 2]):  # after the last trained one, its statistics
        mean, deviation = norm.running_mean[step], (norm.running_var[step] + 1e-5).sqrt()
        wanted = (features[row] - mean[:, None, None]) / deviation[:, None, None]
        assert th.allclose(mixed[row], wanted, atol=1e-5)


def test_steps_beyond_those_with_statistics_share_the_last_ones():
    norm = memory().areas[0].norm.train()
    norm(1e3 + th.randn(4, 4, 2, 2), th.full((4,), 40))
    assert norm.n_trained == norm.N_STEPS
    assert (norm.running_mean[-1] > 50).all() and not norm.running_mean[:-1].any()


def test_a_batch_of_one_value_a_channel_is_normalised_as_in_reading():
    norm = memory().areas[0].norm
    features, steps = th.randn(1, 4, 1, 1), th.zeros(1, dtype=th.int64)
    assert th.equal(norm.train()(features, steps), norm.eval()(features, steps))
    assert norm.n_trained == 0


def test_lanes_after_different_numbers_of_glimpses_have_the_statistics_of_theirs():
    reader, episodes = trained(4), random_episodes(3)
    hidden, state = stepped(reader, episodes), reader.start(3)
    with th.no_grad():
        for t in range(2):
            rows = np.arange(t + 1, 3)
            state[rows], _ = reader.step(
                state[rows], episodes.glimpses[rows, t], episodes.gaze[rows, t]
            )
        now = np.arange(3)  # row r has seen r glimpses
        _, mixed = reader.step(state, episodes.glimpses[now, now], episodes.gaze[now, now])
    np.testing.assert_allclose(mixed, hidden[now, now], rtol=1e-4, atol=1e-5)


# ---- size ----


@pytest.mark.parametrize("side", [16, 24, 60, 100])
def test_an_image_of_any_size_is_read_on_a_grid_of_at_most_4_by_4(side):
    layout = CanvasLayout(side, side, 1, 8, 1, 8, 1.0, side / 8)
    reader = RecurrentConvolution(layout, width=2, place_channels=1).eval()
    assert reader.hidden_size <= 8 + (1 + len(layout.cells)) * 16
    rng = np.random.default_rng(0)
    glimpse = rng.integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    state, gaze = reader.start(2), np.float32([[0.5, 0.5, 0.3], [0.5, 0.5, 1.0]])
    for _ in range(2):
        after, hidden = reader.step(state, glimpse, gaze)
        assert hidden.shape == (2, reader.hidden_size) and hidden.isfinite().all()
        assert after.shape == state.shape and after.dtype == state.dtype
        state = after


def test_the_state_is_a_canvas_and_one_float_for_each_activation():
    reader = memory()  # of width 4, on a grid of 8 x 8
    activations = 4 * 4 * 4 + 8 * 2 * 2 + 16
    n_canvas = reader.layout.empty(1).shape[1]
    assert reader.start(3).shape == (3, 1 + n_canvas + 4 * activations)


def test_muon_trains_all_convolutions():
    reader = classifier("rcn")
    fitter = Fitter(reader, bfloat16=False)
    before = {name: weight.detach().clone() for name, weight in reader.named_parameters()}
    fitter.update(random_episodes(16))
    muon = fitter.optimizer.state_dict()["muon"]
    shapes = [tuple(state["momentum_buffer"].shape) for state in muon["state"].values()]
    wanted = [tuple(w.flatten(1).shape) for w in reader.memory.parameters() if w.ndim == 4]
    assert sorted(shapes) == sorted(wanted) and len(shapes) == 3 + 3 + 2 + 1
    for name, weight in reader.named_parameters():
        assert not th.equal(weight, before[name]), name
