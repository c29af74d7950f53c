"""The torch classifier behind the simulation's protocol."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch as th
from episodes import (
    SMALL,
    beliefs,
    classifier,
    config,
    quadrants,
    random_episodes,
    same,
    shake,
    weights,
)

from glimpse_envs import GlimpseClassifier
from glimpse_envs.actions import Saccade
from glimpse_envs.core import GlimpseCore
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.sensors import Crop, Retina
from policies.classifier.memory import MEMORIES
from policies.classifier.model import ClassifierError, TorchClassifier, View

MULTI_CAT, SACCADE = "GlimpseDigits-MultiCat-v0", "GlimpseDigits-Saccade-v0"


# ---- the protocol ----


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_torch_classifier_fits_the_protocol(kind):
    reader, episodes = classifier(kind), random_episodes(5)
    assert isinstance(reader, GlimpseClassifier)
    state = reader.start(5)
    reading = reader.update(state, episodes.glimpses[:, 0], episodes.gaze[:, 0])
    assert reading.state.shape == state.shape and reading.state.dtype == state.dtype
    assert reading.belief.shape == (5, 4) and reading.belief.dtype == np.float32
    np.testing.assert_allclose(reading.belief.sum(1), 1.0, rtol=1e-5)
    assert reading.hidden.shape == (5, reader.hidden_size) and reading.hidden.dtype == np.float32
    assert all(isinstance(part, np.ndarray) for part in reading)


@pytest.mark.parametrize("kind", MEMORIES)
def test_the_lanes_beside_it_do_not_change_a_reading(kind):
    reader = classifier(kind)
    few, many = random_episodes(3), random_episodes(9)
    for part, lanes in zip(few, many, strict=True):
        lanes[:3] = part
    readings = [
        reader.update(reader.start(len(these.labels)), these.glimpses[:, 0], these.gaze[:, 0])
        for these in (few, many)
    ]
    for alone, among_others in zip(*readings, strict=True):
        np.testing.assert_allclose(alone, among_others[:3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_belief_has_the_temperature_of_its_number_of_glimpses(kind):
    """Above the 32 that have one of their own, and above the 255 that a byte can count."""
    reader, episodes = classifier(kind), random_episodes(5)
    reader.temperatures.copy_(th.linspace(0.1, 3.2, 32))
    state = reader.start(5)
    for count in range(1, 301):
        t = count % 4
        reading = reader.update(state, episodes.glimpses[:, t], episodes.gaze[:, t])
        state = reading.state
        hidden = th.as_tensor(reading.hidden)
        with th.no_grad():
            wanted = (reader.readout(hidden) / (0.1 * min(count, 32))).softmax(1)
        np.testing.assert_allclose(reading.belief, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", MEMORIES)
def test_lanes_after_different_numbers_of_glimpses_have_their_own_temperatures(kind):
    reader, episodes = classifier(kind), random_episodes(3)
    reader.temperatures.copy_(th.linspace(0.1, 3.2, 32))
    state, counts = reader.start(3), np.array([1, 2, 3])
    for t in range(3):
        lanes = (counts > t).nonzero()[0]
        glimpse, gaze = episodes.glimpses[lanes, t], episodes.gaze[lanes, t]
        state[lanes] = reader.update(state[lanes], glimpse, gaze).state
    reading = reader.update(state, episodes.glimpses[:, 3], episodes.gaze[:, 3])
    with th.no_grad():
        hidden = th.as_tensor(reading.hidden)
        own = reader.readout(hidden) / th.tensor([0.2, 0.3, 0.4])[:, None]
        np.testing.assert_allclose(reading.belief, own.softmax(1), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(reader.logits(hidden, counts + 1), own, rtol=1e-4)


def test_an_untrained_classifier_has_temperatures_of_1():
    reader = classifier("gru")
    assert reader.temperatures.tolist() == [1.0] * 32
    assert "temperatures" in reader.state_dict()
    assert not any(name == "temperatures" for name, _ in reader.named_parameters())


def test_the_seed_makes_the_weights_and_disturbs_no_other_draws():
    th.manual_seed(5)
    before = th.get_rng_state()
    one, same_seed, other = (classifier("gru", seed=s) for s in (1, 1, 2))
    assert th.equal(th.get_rng_state(), before)
    assert same(weights(one), weights(same_seed)) and not same(weights(one), weights(other))
    assert one.digest() == same_seed.digest() != other.digest()


def test_copies_are_the_classifier_itself():
    reader = classifier()
    assert copy.deepcopy(reader) is reader
    assert copy.deepcopy({"classifier": [reader]})["classifier"][0] is reader


@pytest.mark.parametrize("shape", [(3, 8, 8, 3), (3, 6, 6, 1), (3, 8, 16, 1)])
def test_a_glimpse_of_another_shape_is_refused(shape):
    reader = classifier()
    message = rf"got glimpses \({shape[1]}, .*this classifier reads \(8, 8, 1\)"
    with pytest.raises(ClassifierError, match=message):
        reader.update(reader.start(3), np.zeros(shape, np.uint8), np.zeros((3, 3), np.float32))


@pytest.mark.parametrize(
    "kind",
    [
        "canvas",
        "rcn",
        "gru",
        "feedforward",
        "lstm",
    ],
)
def test_reading_in_bfloat16_is_nearly_the_same_and_still_float32(kind):
    reader = classifier(kind)
    exact = beliefs(reader)
    reader.bfloat16 = True
    rough = beliefs(reader)
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.02)


def test_a_canvas_classifier_can_be_pickled():
    reader = classifier("canvas")
    assert pickle.loads(pickle.dumps(reader)).digest() == reader.digest()


# ---- fitting an environment ----


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sensor": Crop(6)}, r"glimpse_shape \(8, 8, 1\) \(the environment: \(6, 6, 1\)\), win"),
        ({"sensor": Retina(8, 2)}, r"glimpse_shape \(8, 8, 1\) .*\(8, 16, 1\)"),
        (
            {"scene": {"type": "TranslatedCanvas", "side": 20}},
            r"made for image_shape \(16, 16\) \(the environment: \(20, 20\)\) \(canvas reads .*;",
        ),
        ({"dataset": quadrants(channels=3)}, r"glimpse_shape .*\(8, 8, 3\)"),
        (
            {"sensor": Crop(6), "scene": {"type": "TranslatedCanvas", "side": 20}},
            r"glimpse_shape .*, image_shape .*",
        ),
    ],
    ids=["sensor", "retina", "scene", "channels", "both"],
)
def test_a_classifier_of_another_environment_says_what_differs(parts, message):
    with pytest.raises(ValueError, match=message):
        config(classifier=classifier(), **parts)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("gru", {}), ("lstm", {}), ("feedforward", {}), ("canvas", {"frame": 16})],
)
def test_images_of_another_size_are_read_with_the_same_weights(kind, settings):
    reader = classifier(kind, **settings)
    shake(reader)
    reader.bfloat16 = True
    elsewhere = {"scene": {"type": "TranslatedCanvas", "side": 40}}
    other = config(classifier=reader, **elsewhere).classifier
    assert other is not reader and other.view.image_shape == (40, 40) and other.bfloat16
    same(weights(other), weights(reader))
    assert config(classifier=reader).classifier is reader
    assert config(classifier=other, **elsewhere).classifier is other
    # the same glimpse round the same point, told as a share of each image
    glimpse = random_episodes(1).glimpses[:, 0]
    readings = [
        one.update(one.start(1), glimpse, np.array([[0.5, 0.5, 1.0]], np.float32))
        for one in (reader, other)
    ]
    np.testing.assert_allclose(readings[0].belief, readings[1].belief, rtol=1e-5)


def test_a_classifier_of_other_classes_says_so():
    view = View(7, (8, 8, 1), (16, 16), 8, 1.0, 2.0)
    with pytest.raises(ValueError, match="knows 7 classes, data set 'quadrants' has 4"):
        config(classifier=TorchClassifier(view, "gru", **SMALL["gru"]))
    with pytest.raises(ClassifierError, match=r"n_classes 7 \(the environment: 4\)"):
        TorchClassifier(view, "gru", **SMALL["gru"]).adapted_to(config())


@pytest.mark.parametrize("scheme", ["GreedyMap", "MultiCategorical", "Hybrid", Saccade(0.5)])
def test_a_classifier_serves_every_scheme_on_the_same_glimpses(scheme):
    reader = classifier()
    assert config(scheme=scheme, classifier=reader).classifier is reader


def test_a_view_tells_the_widths_of_the_glimpses_pixels():
    reader = {"classifier": "feedforward"}
    assert View.of(config()) == View(4, (8, 8, 1), (16, 16), 8, 1.0, 2.0)
    close = View.of(config(scheme=Saccade(), **reader))
    assert (close.finest_cell, close.coarsest_cell) == (1.0, 1.0)
    from_afar = View.of(config(scheme=Saccade(), start="overview", **reader))
    assert (from_afar.finest_cell, from_afar.coarsest_cell) == (1.0, 2.0)
    retina = View.of(config(sensor=Retina(4, 2)))
    assert retina == View(4, (4, 8, 1), (16, 16), 4, 1.0, 4.0)


# ---- by name ----


@pytest.mark.parametrize("kind", MEMORIES)
def test_gymnasium_makes_a_classifier_by_name(kind):
    given = {"type": kind, "seed": 3, **SMALL[kind]}
    env = gymnasium.make(SACCADE, classifier=given)
    reader = env.unwrapped.config.classifier
    assert isinstance(reader, TorchClassifier) and (reader.kind, reader.seed) == (kind, 3)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.config.classifier.digest() == reader.digest()
    np.testing.assert_allclose(
        *(made.reset(seed=0)[0]["belief"] for made in (env, again)), rtol=1e-6
    )


def test_gymnasium_makes_a_classifier_of_a_file(tmp_path):
    env = gymnasium.make(SACCADE, classifier={"type": "gru", "seed": 9, **SMALL["gru"]})
    env.unwrapped.config.classifier.save(tmp_path / "c.pt")
    other = gymnasium.make(SACCADE, classifier={"type": "file", "path": str(tmp_path / "c.pt")})
    readers = [made.unwrapped.config.classifier for made in (env, other)]
    assert readers[0].digest() == readers[1].digest()
    assert "c.pt" in other.spec.to_json()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("canvass", "did you mean 'canvas'"),
        ({"type": "grru"}, "did you mean 'gru'"),
        ({"type": "canvas", "widht": 3}, "widht"),
        ({"type": "file", "path": "nowhere.pt"}, "there is no classifier nowhere.pt"),
        ("file", "cannot make a classifier of .*'path'"),
    ],
)
def test_an_unknown_kind_or_setting_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make(SACCADE, classifier=given)


# ---- one classifier for all faces ----


def answering(rng: np.random.Generator, n: int) -> np.ndarray:
    decisions = np.where(rng.random(n) < 0.2, rng.integers(1, 11, n), 0)
    return np.stack([rng.integers(9, size=n), rng.integers(3, size=n), decisions], 1)


def saccades(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.uniform(-1, 1, (n, 2)).astype(np.float32)


@pytest.mark.parametrize("kind", MEMORIES)
@pytest.mark.parametrize(("env_id", "draw"), [(MULTI_CAT, answering), (SACCADE, saccades)])
def test_the_three_faces_agree_with_a_shared_classifier(kind: str, env_id: str, draw: Callable):
    lanes, steps, seed = 4, 12, 50
    made = gymnasium.make(env_id, classifier={"type": kind, **SMALL[kind]})
    reader = made.unwrapped.config.classifier
    parts: dict[str, Any] = {
        "classifier": reader,
        "observe_classifier_features": True,
        "reward": "InformationGain",
    }
    singles = [gymnasium.make(env_id, **parts) for _ in range(lanes)]
    vector = gymnasium.make_vec(env_id, num_envs=lanes, **parts)
    sb3 = GlimpseVecEnv(env_id, lanes, seed=seed, **parts)
    assert all(env.unwrapped.config.classifier is reader for env in singles)
    assert vector.unwrapped.config.classifier is reader
    assert sb3.config.classifier is reader

    def agree(ours: dict, theirs: dict) -> None:
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-6, err_msg=key)

    rows = [env.reset(seed=seed + lane)[0] for lane, env in enumerate(singles)]
    agree(stack(rows), vector.reset(seed=seed)[0])
    agree(stack(rows), sb3.reset())
    rng, n_ends = np.random.default_rng(0), 0
    for _ in range(steps):
        actions, rows, rewards = draw(rng, lanes), [], []
        for env, action in zip(singles, actions, strict=True):
            observation, reward, terminated, *_ = env.step(action)
            rows.append(env.reset()[0] if terminated else observation)
            rewards.append(reward)
            n_ends += terminated
        observation, vector_rewards, *_ = vector.step(actions)
        agree(stack(rows), observation)
        np.testing.assert_allclose(rewards, vector_rewards, rtol=1e-4, atol=1e-5)
        observation, sb3_rewards, *_ = sb3.step(actions)
        agree(stack(rows), observation)
        np.testing.assert_allclose(rewards, sb3_rewards, rtol=1e-4, atol=1e-5)
    assert n_ends > lanes


def stack(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


# ---- refresh ----


@pytest.mark.parametrize("kind", MEMORIES)
@pytest.mark.parametrize("scheme", ["MultiCategorical", "Saccade"])
def test_after_new_weights_a_refresh_reads_the_running_episodes_anew(kind, scheme):
    reader = classifier(kind)
    settings = config(scheme=scheme, classifier=reader, observe_classifier_features=True, budget=5)
    core, rng = GlimpseCore(settings, 6), np.random.default_rng(0)
    core.seed_all(0)
    core.reset(core.lanes)
    seen = [[(core.glimpse(lane), core.gaze[lane].copy())] for lane in range(6)]
    for step in range(3):
        draw = saccades if scheme == "Saccade" else answering
        actions = draw(rng, 6)
        if scheme != "Saccade":
            actions[:, 2] = 0
        observation = core.step(actions).observation
        for lane in range(6):
            seen[lane].append((observation["glimpse"][lane], observation["gaze"][lane]))
        if step < 2:  # some lanes begin anew, so that their episodes are of other lengths
            core.reset(np.array([step]))
            seen[step] = [(core.glimpse(step), core.gaze[step].copy())]
    before = core.refresh()
    again = core.refresh()
    for key in ("belief", "classifier_features"):
        np.testing.assert_allclose(before[key], again[key], rtol=1e-5, atol=1e-6)
    shake(reader)
    after = core.refresh()
    assert not np.allclose(before["belief"], after["belief"], rtol=1e-3)
    assert [len(pairs) for pairs in seen] == core.n_glimpses.tolist() == [3, 2, 4, 4, 4, 4]
    for lane, pairs in enumerate(seen):
        state = reader.start(1)
        for glimpse, gaze in pairs:
            state, belief, hidden = reader.update(state, glimpse[None], gaze[None])
        np.testing.assert_allclose(after["belief"][lane], belief[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            after["classifier_features"][lane], hidden[0], rtol=1e-5, atol=1e-6
        )
