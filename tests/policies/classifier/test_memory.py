"""Memories: reading step by step and reading prefixes at once are the same."""

import numpy as np
import pytest
import torch as th
from episodes import N_CLASSES, SMALL, classifier, random_episodes, shake

from glimpse_envs.classifier import Reading
from policies.classifier.canvas import CanvasLayout
from policies.classifier.memory import MEMORIES, Memory, make_memory
from policies.classifier.model import TorchClassifier, View

SHAPE = (8, 8, 1)


def memory(kind: str, **settings: object) -> Memory:
    return classifier(kind, **settings).memory


def stepped(memory: Memory, episodes, budget: int = 4) -> np.ndarray:
    """Hidden vectors after every glimpse, read one by one, float32 (n, budget, hidden_size)."""
    state, hidden = memory.start(len(episodes.labels)), []
    with th.no_grad():
        for t in range(budget):
            state, features = memory.step(state, episodes.glimpses[:, t], episodes.gaze[:, t])
            hidden.append(features.numpy())
    return np.stack(hidden, 1)


@pytest.mark.parametrize("kind", ["gru", "lstm", "feedforward"])
@pytest.mark.parametrize("encoder", ["mlp", "cnn"])
def test_steps_and_prefixes_give_the_same_for_every_count(kind, encoder):
    reader, episodes = memory(kind, encoder=encoder), random_episodes(9)
    with th.no_grad():
        prefixes = reader.prefixes(episodes, 0.3, np.random.default_rng(0))
    pairs = set(zip(prefixes.rows.tolist(), prefixes.counts.tolist(), strict=True))
    counts = episodes.counts.tolist()
    assert pairs == {(row, t + 1) for row, count in enumerate(counts) for t in range(count)}
    assert len(prefixes.rows) == len(pairs)
    hidden = stepped(reader, episodes)[prefixes.rows, prefixes.counts - 1]
    assert prefixes.hidden.shape == (len(pairs), reader.hidden_size)
    np.testing.assert_allclose(prefixes.hidden, hidden, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("n_frequencies", "told"), [(4, True), (0, True), (None, False)])
@pytest.mark.parametrize("kind", ["gru", "feedforward"])
def test_the_gaze_counts_unless_it_is_left_out(kind, n_frequencies, told):
    reader, episodes = memory(kind, n_frequencies=n_frequencies), random_episodes(9)
    elsewhere = episodes._replace(gaze=np.float32(1.0) - episodes.gaze)
    assert np.allclose(stepped(reader, elsewhere), stepped(reader, episodes)) != told


@pytest.mark.parametrize("frame", [None, 24])
def test_a_canvas_gives_whole_episodes_with_gradients_and_fixed_normalisations(frame):
    reader, episodes = memory("canvas", frame=frame), random_episodes(9)
    hidden = stepped(reader, episodes)
    before = [buffer.clone() for buffer in reader.buffers()]
    outputs = reader.outputs(th.as_tensor(episodes.glimpses), th.as_tensor(episodes.gaze))
    np.testing.assert_allclose(outputs.detach(), hidden, rtol=1e-4, atol=1e-5)
    outputs.sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in reader.parameters())
    assert all(map(th.equal, before, reader.buffers()))
    np.testing.assert_array_equal(stepped(reader, episodes), hidden)  # folded as before


def test_whole_episodes_of_a_mirrored_canvas_are_refused():
    episodes = random_episodes(2)
    with pytest.raises(ValueError, match="mirror=True"):
        memory("canvas", mirror=True).outputs(th.as_tensor(episodes.glimpses), episodes.gaze)


@pytest.mark.parametrize("frame", [None, 24])
def test_a_canvas_gives_the_same_for_the_prefixes_that_it_draws(frame):
    reader, episodes = memory("canvas", frame=frame), random_episodes(40)
    hidden, rng, seen = stepped(reader, episodes), np.random.default_rng(0), set()
    for _ in range(3):
        with th.no_grad():
            prefixes = reader.prefixes(episodes, 1.0, rng)
        np.testing.assert_array_equal(prefixes.rows, np.arange(40))
        wanted = hidden[prefixes.rows, prefixes.counts - 1]
        np.testing.assert_allclose(prefixes.hidden, wanted, rtol=1e-4, atol=1e-5)
        seen |= set(prefixes.counts.tolist())
    assert seen == {1, 2, 3, 4}


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_step_leaves_the_state_before_it_alone(kind):
    reader, episodes = memory(kind), random_episodes(3)
    state = reader.start(3)
    with th.no_grad():
        state, _ = reader.step(state, episodes.glimpses[:, 0], episodes.gaze[:, 0])
        before = state.copy()
        reader.step(state, episodes.glimpses[:, 1], episodes.gaze[:, 1])
    np.testing.assert_array_equal(state, before)
    assert isinstance(state, np.ndarray) and state.dtype == reader.start(3).dtype


def test_a_memory_remembers_and_feedforward_does_not():
    episodes = random_episodes(5)
    other = episodes._replace(glimpses=episodes.glimpses.copy())
    other.glimpses[:, 0] = 255 - other.glimpses[:, 0]
    for kind in MEMORIES:
        last = [stepped(memory(kind), these)[:, -1] for these in (episodes, other)]
        assert np.allclose(*last) == (kind == "feedforward"), kind


@pytest.mark.parametrize("kind", MEMORIES)
def test_what_was_seen_and_where_both_count(kind):
    episodes, reader = random_episodes(5), memory(kind)
    elsewhere = episodes._replace(gaze=episodes.gaze[::-1].copy())
    hidden = [stepped(reader, these, 1) for these in (episodes, elsewhere)]
    assert not np.allclose(hidden[0][[0, 1, 3, 4]], hidden[1][[0, 1, 3, 4]])


@pytest.mark.parametrize("kind", ["canvas", "rcn"])
def test_a_canvas_tells_what_was_not_looked_at(kind):
    reader = memory(kind)
    black = random_episodes(2)._replace(glimpses=np.zeros((2, 4, 8, 8, 1), np.uint8))
    gaze = np.tile(np.float32([0.5, 0.5, 1.0]), (2, 4, 1))
    gaze[1] = (0.25, 0.25, 1.0)
    first, second = stepped(reader, black._replace(gaze=gaze), 1)
    assert not np.allclose(first, second)


# ---- weights ----


@pytest.mark.parametrize("early_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", ["rcn", "gru", "feedforward"])
def test_weights_are_1_for_the_last_glimpse_over_their_sum_in_the_episode(kind, early_weight):
    episodes = random_episodes(9)
    prefixes = memory(kind).prefixes(episodes, early_weight, np.random.default_rng(0))
    for row, t, weight in zip(prefixes.rows, prefixes.counts, prefixes.weights, strict=True):
        count = episodes.counts[row]
        share = 1.0 if t == count else early_weight
        wanted = share / (1.0 + early_weight * (count - 1)) / 9
        assert weight == pytest.approx(wanted, rel=1e-5)
    assert prefixes.weights.dtype == np.float32
    assert prefixes.weights.sum() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("early_weight", [0.0, 0.3, 1.0])
def test_a_canvas_draws_prefixes_with_the_probability_of_their_weight(early_weight):
    n, budget = 6000, 4
    episodes = random_episodes(4, budget)  # counts 1 to 4
    reader = memory("canvas", width=2)
    many = type(episodes)(*(array.repeat(n // 4, 0) for array in episodes))
    with th.no_grad():
        prefixes = reader.prefixes(many, early_weight, np.random.default_rng(1))
    np.testing.assert_allclose(prefixes.weights, 1.0 / n)
    assert prefixes.weights.sum() == pytest.approx(1.0, rel=1e-4)
    for count in range(1, budget + 1):
        drawn = prefixes.counts[many.counts == count]
        shares = np.bincount(drawn, minlength=budget + 1)[1:] / len(drawn)
        total = 1.0 + early_weight * (count - 1)
        wanted = [early_weight / total] * (count - 1) + [1 / total] + [0.0] * (budget - count)
        deviation = np.sqrt(np.multiply(wanted, np.subtract(1, wanted)) / len(drawn))
        assert (abs(shares - wanted) <= 4 * deviation + 1e-12).all(), (count, shares)


# ---- making one ----


@pytest.mark.parametrize("kind", MEMORIES)
def test_the_hidden_size_is_that_of_the_vectors(kind):
    hidden = stepped(memory(kind), random_episodes(2), 1)
    assert hidden.shape == (2, 1, memory(kind).hidden_size)


@pytest.mark.parametrize("side", [16, 24, 60, 100])
def test_a_canvas_of_any_size_is_read_on_a_grid_of_at_most_4_by_4(side):
    layout = CanvasLayout(side, side, 1, 8, 1, 8, 1.0, side / 8)
    reader = make_memory("canvas", SHAPE, layout, width=2, place_channels=1).eval()
    assert reader.hidden_size <= 8 + (1 + len(layout.cells)) * 16
    assert reader.encode(layout.empty(2)).shape == (2, reader.hidden_size)


def test_residual_pairs_add_to_what_enters_them():
    """With silent convolutions a pair lets everything through, a plain stack nothing."""
    episodes, readings = random_episodes(6), []
    canvases = memory("canvas").start(6)
    memory("canvas").layout.paint(canvases, episodes.glimpses, episodes.gaze, episodes.counts)
    for residual in (True, False):
        reader = memory("canvas", residual=residual)
        before = reader.encode(canvases)
        with th.no_grad():
            for piece in reader.trunk:
                if len(piece) == 2:
                    piece[1][0].weight.zero_()
        reader._forget()
        after = reader.encode(canvases)
        assert not th.allclose(before, after)
        readings.append(after[:, : reader.places.in_channels])  # the pooled features
    assert (readings[0] > 0).any(dim=1).all() and not readings[1].any()


def test_the_setting_of_interpolation_reaches_the_layout():
    assert not memory("canvas").layout.interpolate
    assert memory("canvas", interpolate=True).layout.interpolate


def test_a_retina_is_read_by_every_memory():
    view = View(N_CLASSES, (8, 24, 3), (32, 32), 8, 1.0, 1.0)
    rng = np.random.default_rng(0)
    for kind in MEMORIES:
        settings = SMALL[kind] | ({"encoder": "cnn"} if "encoder" in SMALL[kind] else {})
        reader = make_memory(kind, view.glimpse_shape, view.layout(), **settings).eval()
        glimpse = rng.integers(0, 256, (3, 8, 24, 3), dtype=np.uint8)
        _, hidden = reader.step(reader.start(3), glimpse, rng.random((3, 3), np.float32))
        assert hidden.shape == (3, reader.hidden_size)


def test_glimpses_that_are_no_squares_side_by_side_have_no_canvas():
    view = View(N_CLASSES, (8, 12, 1), (32, 32), 8, 1.0, 4.0)
    assert view.layout() is None
    for kind in ("canvas", "rcn"):
        with pytest.raises(ValueError, match=r"\(8, 12, 1\) cannot be painted.*gru, lstm or feed"):
            make_memory(kind, view.glimpse_shape, view.layout())


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("transformer", {}, "'transformer'; wanted one of canvas, rcn, gru, lstm, feedforward"),
        ("canvas", {"widht": 3}, "classifier canvas: .*'widht'"),
        ("gru", {"width": 3}, "classifier gru: .*'width'"),
        ("feedforward", {"encoder": "vit"}, "encoder is 'vit'"),
    ],
)
def test_an_unknown_memory_or_setting_is_refused(kind, settings, message):
    layout = CanvasLayout(16, 16, 1, 8, 1, 8, 1.0, 2.0)
    with pytest.raises(ValueError, match=message):
        make_memory(kind, SHAPE, layout, **settings)


# ---- the canvas's shortcut ----


def test_folded_normalisations_change_nothing_that_is_read():
    reader, episodes = memory("canvas", width=4), random_episodes(6)
    canvases = reader.start(6)
    reader.layout.paint(canvases, episodes.glimpses, episodes.gaze, episodes.counts)
    for _, norm in (layer for piece in reader.trunk for layer in piece):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    with th.no_grad():
        folded = reader.encode(canvases)
        reader.training = True  # the convolutions alone: the normalisations stay fixed
        plain = reader.encode(canvases)
    np.testing.assert_allclose(folded, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [None, th.bfloat16, th.float16])
@th.inference_mode()
def test_a_canvas_looks_as_it_reads_unfolded_planes(dtype):
    reader, episodes = memory("canvas"), random_episodes(6)
    canvases = reader.start(6)
    reader.layout.paint(canvases, episodes.glimpses, episodes.gaze, episodes.counts)
    with th.autocast("cpu", dtype=dtype or th.bfloat16, enabled=dtype is not None):
        wanted = reader.read(reader.layout.unfold(th.as_tensor(canvases)))
        assert th.equal(reader.encode(canvases), wanted)
        with th.device("meta"):  # a default for new tensors
            assert th.equal(reader.encode(canvases), wanted)


def test_a_canvas_that_has_read_reads_on_after_it_was_moved():
    reader = memory("canvas")  # a classifier reads one glimpse when its environment is made
    with th.inference_mode():
        reader.encode(reader.start(2))
    reader.to("meta")  # computes with weights from anywhere, a GPU does not
    layers = [layer for piece in reader._without_norms() for layer in piece]
    devices = {weight.device.type for layer in layers for weight in layer.parameters()}
    assert devices == {"meta"}


def read_overview(reader: TorchClassifier, glimpse: np.ndarray) -> Reading:
    """What is read of the whole image at once."""
    gaze = np.tile(np.float32([0.5, 0.5, 0.0]), (len(glimpse), 1))
    return reader.update(reader.start(len(glimpse)), glimpse, gaze)


def test_with_a_mirrored_view_an_image_and_its_mirror_image_are_believed_alike():
    glimpse = random_episodes(6).glimpses[:, 0]
    back = np.ascontiguousarray(glimpse[:, :, ::-1])
    for mirror in (True, False):
        reader = classifier("canvas", mirror=mirror)
        shake(reader)
        there, again = (read_overview(reader, pixels).belief for pixels in (glimpse, back))
        assert np.allclose(there, again, atol=1e-5) == mirror


def test_the_logits_of_both_views_are_averaged_and_agents_see_the_plain_one():
    glimpse = random_episodes(6).glimpses[:, 0]
    both, plain = classifier("canvas", mirror=True), classifier("canvas")
    for reader in (both, plain):
        shake(reader)
    mirrored, there = read_overview(both, glimpse), read_overview(plain, glimpse)
    back = read_overview(plain, np.ascontiguousarray(glimpse[:, :, ::-1]))
    wanted = np.sqrt(there.belief * back.belief)
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mirrored.belief, wanted, rtol=1e-4)
    np.testing.assert_allclose(mirrored.hidden, there.hidden, rtol=1e-4, atol=1e-6)


def test_a_mirrored_view_is_read_along_whole_episodes_but_not_in_training():
    reader, episodes = classifier("canvas", mirror=True).memory, random_episodes(6)
    glimpses = th.as_tensor(episodes.glimpses).permute(0, 1, 4, 2, 3).float()
    with th.no_grad():
        followed = reader.follow(glimpses, episodes.gaze, episodes.counts)
        assert followed.shape == (6, 2, reader.hidden_size)
        wanted = stepped(reader, episodes)[np.arange(6), episodes.counts - 1]
        np.testing.assert_allclose(followed, wanted, rtol=1e-4, atol=1e-4)
        reader.train()
        prefixes = reader.prefixes(episodes, 0.3, np.random.default_rng(0))
    assert prefixes.hidden.shape == (6, reader.hidden_size)
