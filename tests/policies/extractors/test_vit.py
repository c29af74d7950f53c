"""The Vision Transformer over a glimpse, over all glimpses so far, and with plain PPO."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from recall import accuracy, falling, recall_envs
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.vec_env import VecEnv
from tiny import N_CLASSES, TinyGlimpse, observation_space, observations

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import GlimpseExtractor, GlimpsePolicy, ViTExtractor

th.set_num_threads(1)

DIM = 16
SMALL = {"dim": DIM, "n_blocks": 1, "n_heads": 2}
SHAPES = [(8, 8, 1), (8, 8, 3), (8, 8, 9), (8, 24, 3), (12, 12, 1)]
EXTRAS = [(), ("belief",), ("map", "classifier_features"), ("map", "belief", "classifier_features")]
SENSORS = {"crop": "Crop", "retina": {"type": "Retina", "size": 8, "scales": 3}}


def _extractor(space: spaces.Dict, **kwargs) -> ViTExtractor:
    th.manual_seed(0)
    return ViTExtractor(space, **{**SMALL, **kwargs})


def _history_env(sensor: str = "crop", n_envs: int = 4) -> VecEnv:
    env = GlimpseVecEnv(
        "GlimpseCIFAR-MultiCat-v0",
        n_envs,
        seed=0,
        budget=4,
        sensor=SENSORS[sensor],
        observe_history=True,
    )
    return BaseAlgorithm._wrap_env(env)


def _looked(env: VecEnv, n_steps: int = 2) -> dict[str, th.Tensor]:
    """The observations after some moves, as the extractor gets them."""
    env.action_space.seed(0)
    obs = env.reset()
    for _ in range(n_steps):
        actions = np.stack([env.action_space.sample() for _ in range(env.num_envs)])
        actions[:, 2] = 0  # go on
        obs, *_ = env.step(actions)
    tensors = {key: th.as_tensor(array) for key, array in obs.items()}
    return preprocess_obs(tensors, env.observation_space)


@pytest.mark.parametrize(("n_frequencies", "told"), [(4, True), (0, True), (None, False)])
@pytest.mark.parametrize("history", [False, True])
def test_the_gaze_counts_unless_it_is_left_out(
    history: bool, n_frequencies: int | None, told: bool
):
    if history:
        env = _history_env()
        space, obs = env.observation_space, _looked(env)
    else:
        space = observation_space()
        obs = preprocess_obs(observations(space, 4), space)
    extractor = _extractor(space, n_frequencies=n_frequencies)
    elsewhere = {**obs, **{key: 1.0 - obs[key] for key in obs if key.startswith("gaze")}}
    assert th.allclose(extractor(elsewhere), extractor(obs)) != told


# ---- one glimpse ----


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_are_those_of_the_tokens_and_the_bypass_comes_last(shape, extras, tokens: bool):
    space = observation_space(shape, extras)
    extractor = _extractor(space, tokens=tokens)
    n_patches = shape[0] * shape[1] // 4**2
    encoded_dim = DIM * (1 + n_patches if tokens else 1)
    assert extractor.features_dim == encoded_dim + extractor.bypass.dim
    assert extractor.bypass.n_belief == (N_CLASSES if "belief" in extras else 0)
    obs = preprocess_obs(observations(space, 4), space)
    features = extractor(obs)
    assert features.shape == (4, extractor.features_dim)
    bypass = extractor.bypass.make(obs["remaining"], obs.get("belief"))
    th.testing.assert_close(features[:, encoded_dim:], bypass)
    for key in obs:
        changed = extractor({**obs, key: 1.0 - obs[key]})
        assert not th.allclose(changed[:, :encoded_dim], features[:, :encoded_dim]), key


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_picture_is_seen_whether_transposed_or_not(shape, tokens: bool):
    env = TinyGlimpse(glimpse=shape)
    last = _extractor(env.observation_space, tokens=tokens)
    first = _extractor(BaseAlgorithm._wrap_env(env).observation_space, tokens=tokens)
    first.load_state_dict(last.state_dict())
    obs = preprocess_obs(observations(env.observation_space, 3), env.observation_space)
    transposed = dict(obs)
    if first.channels_first:
        transposed["glimpse"] = obs["glimpse"].permute(0, 3, 1, 2).contiguous()
    th.testing.assert_close(last(obs), first(transposed))


def test_training_and_evaluation_compute_the_same():
    space = observation_space((8, 24, 3), EXTRAS[-1])
    obs = preprocess_obs(observations(space, 4), space)
    extractor = _extractor(space, n_blocks=2)
    assert th.equal(extractor.train()(obs), extractor.eval()(obs))


def test_every_weight_learns():
    space = observation_space(extras=("map",))
    obs = preprocess_obs(observations(space, 4), space)
    extractor = _extractor(space, n_blocks=2)
    extractor(obs)[:, : DIM // 2].sum().backward()
    for name, weight in extractor.named_parameters():
        assert weight.grad.isfinite().all() and weight.grad.abs().sum() > 0, name


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="patches of 3 x 3 and glimpses of 8 x 8"):
        _extractor(observation_space(), patch=3)
    with pytest.raises(ValueError, match="tokens of 16 numbers and 3 heads"):
        _extractor(observation_space(), n_heads=3)
    with pytest.raises(ValueError, match="wanted a Dict"):
        _extractor(observation_space()["glimpse"])
    space = observation_space()
    del space.spaces["remaining"]
    with pytest.raises(ValueError, match=r"missing \['remaining'\]"):
        _extractor(space)


# ---- all glimpses so far ----


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_history_is_seen_as_the_glimpses_were(sensor: str):
    env = _history_env(sensor)
    extractor, obs = _extractor(env.observation_space), _looked(env)
    shape = (3, 8, 24 if sensor == "retina" else 8)
    pictures = extractor.history(obs)
    assert extractor.glimpse_shape == shape and pictures.shape == (4, 4, *shape)
    assert obs["taken"].tolist() == [[1.0, 1.0, 1.0, 0.0]] * 4
    th.testing.assert_close(pictures[:, 2], extractor.glimpse(obs))
    th.testing.assert_close(obs["gazes"][:, 2], obs["gaze"])
    assert pictures.max() <= 1.0 and pictures.min() >= 0.0


@pytest.mark.parametrize("sensor", SENSORS)
def test_glimpses_that_were_not_taken_have_no_influence(sensor: str):
    env = _history_env(sensor)
    extractor, obs = _extractor(env.observation_space, n_blocks=2), _looked(env)
    features = extractor(obs)
    assert features.shape == (4, DIM + 1)
    for key in ("glimpses", "gazes"):
        changed = dict(obs, **{key: obs[key].clone()})
        changed[key][:, 3] += 0.5 * changed[key].max()
        assert th.equal(extractor(changed), features), key
        changed[key][:, 1] += 0.5 * changed[key].max()
        assert not th.isclose(extractor(changed)[:, :DIM], features[:, :DIM]).all(1).any(), key
    # once taken, it counts
    more = {**obs, "taken": th.ones_like(obs["taken"])}
    assert not th.isclose(extractor(more)[:, :DIM], features[:, :DIM]).all(1).any()


def test_where_a_glimpse_stands_in_the_history_is_of_no_account():
    env = _history_env()
    extractor, obs = _extractor(env.observation_space, n_blocks=2), _looked(env)
    order = [3, 1, 0, 2]
    moved = {key: obs[key][:, order] for key in ("glimpses", "gazes", "taken")}
    th.testing.assert_close(extractor({**obs, **moved}), extractor(obs))
    # but which gaze belongs to which glimpse is
    crossed = extractor({**obs, "gazes": obs["gazes"][:, [1, 2, 0, 3]]})
    assert not th.allclose(crossed, extractor(obs))


def test_with_a_history_the_present_gaze_is_known():
    # moves are relative to it, and the tokens of a history have no order
    env = _history_env()
    extractor, obs = _extractor(env.observation_space), _looked(env)
    elsewhere = extractor({**obs, "gaze": 1.0 - obs["gaze"]})
    assert not th.isclose(elsewhere[:, :DIM], extractor(obs)[:, :DIM]).all(dim=1).any()


@pytest.mark.parametrize("sensor", SENSORS)
def test_a_history_of_one_glimpse_is_that_glimpse(sensor: str):
    env = _history_env(sensor)
    obs = _looked(env, n_steps=0)
    plain_space = spaces.Dict(
        {
            key: space
            for key, space in env.observation_space.items()
            if key in ("glimpse", "gaze", "remaining")
        }
    )
    with_history, plain = _extractor(env.observation_space), _extractor(plain_space)
    plain.load_state_dict(with_history.state_dict())
    th.testing.assert_close(with_history(obs), plain(obs))


def test_with_a_history_training_and_evaluation_compute_the_same():
    env = _history_env()
    extractor, obs = _extractor(env.observation_space, n_blocks=2), _looked(env)
    assert th.equal(extractor.train()(obs), extractor.eval()(obs))


@pytest.mark.parametrize("normalize_images", [True, False])
def test_pictures_are_in_zero_one_whether_sb3_normalises_or_not(normalize_images: bool):
    env = _history_env()
    policy = GlimpsePolicy(
        env.observation_space,
        env.action_space,
        lambda _: 1e-3,
        features_extractor_class=ViTExtractor,
        features_extractor_kwargs=SMALL,
        normalize_images=normalize_images,
    )
    obs, _ = policy.obs_to_tensor(env.reset())
    obs = preprocess_obs(obs, env.observation_space, normalize_images=normalize_images)
    extractor = policy.features_extractor
    now, before = extractor.glimpse(obs), extractor.history(obs)[:, 0]
    th.testing.assert_close(now, before)
    assert 0.1 < now.max() <= 1.0


def test_a_memory_of_tokens_needs_no_history():
    with pytest.raises(ValueError, match=r"tokens=True and a history.*choose one of both"):
        _extractor(_history_env().observation_space, tokens=True)


def test_the_other_extractor_does_not_read_a_history():
    with pytest.raises(ValueError, match=r"holds a history.*ViTExtractor.*observe_history"):
        GlimpseExtractor(_history_env().observation_space)


# ---- with PPO ----


@pytest.mark.parametrize(
    "env_id", [f"GlimpseDigits-{scheme}-v0" for scheme in ("MultiCat", "GreedyMap", "Hybrid")]
)
@pytest.mark.parametrize("history", [True, False])
def test_ppo_learns_and_is_saved(tmp_path, env_id: str, history: bool):
    env = GlimpseVecEnv(env_id, 16, seed=0, budget=4, observe_history=history)
    model = PPO(
        GlimpsePolicy,
        env,
        n_steps=8,
        batch_size=64,
        n_epochs=1,
        seed=0,
        policy_kwargs={
            "features_extractor_class": ViTExtractor,
            "features_extractor_kwargs": SMALL,
        },
        device="cpu",
    )
    before = model.policy.parameters_to_vector()
    model.learn(256)
    after = model.policy.parameters_to_vector()
    assert np.isfinite(after).all() and not np.array_equal(before, after)
    obs = env.reset()
    want, _ = model.predict(obs, deterministic=True)
    model.save(tmp_path / "model.zip")
    model.policy.save(str(tmp_path / "policy.pt"))
    for loaded in (
        PPO.load(tmp_path / "model.zip", device="cpu"),
        GlimpsePolicy.load(str(tmp_path / "policy.pt"), device="cpu"),
    ):
        np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], want)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_ppo_with_a_history_recalls_what_was_seen_first(seed: int):
    model = PPO(
        GlimpsePolicy,
        recall_envs(history=True),
        learning_rate=falling(1e-3),
        n_steps=24,
        batch_size=256,
        n_epochs=4,
        gamma=1.0,
        ent_coef=0.01,
        seed=seed,
        policy_kwargs={
            "features_extractor_class": ViTExtractor,
            "features_extractor_kwargs": {"dim": 32, "n_blocks": 1},
        },
        device="cpu",
    )
    model.learn(24_000)
    assert accuracy(model) > 0.9
