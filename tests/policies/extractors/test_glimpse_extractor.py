"""The glimpse extractor: layouts, normalisation, bypass columns, errors."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import preprocess_obs
from tiny import N_CLASSES, TinyGlimpse, observation_space, observations

from policies import GlimpseExtractor, GlimpsePolicy
from policies.extractors.glimpse import glimpse_is_channels_first

th.set_num_threads(1)

# As the environment gives them, channels last
GLIMPSES = [
    (4, 4, 1),
    (4, 4, 9),
    (8, 8, 1),
    (8, 8, 3),
    (8, 8, 8),
    (8, 8, 9),
    (8, 16, 1),
    (8, 16, 9),
    (12, 36, 1),
    (12, 36, 3),
]


@pytest.mark.parametrize("shape", GLIMPSES)
def test_channel_axis_is_right_before_and_after_sb3_wraps_the_env(shape: tuple[int, int, int]):
    env = TinyGlimpse(glimpse=shape)
    wrapped = BaseAlgorithm._wrap_env(env).observation_space["glimpse"]
    assert not glimpse_is_channels_first(env.observation_space["glimpse"])
    is_transposed = wrapped.shape == (shape[2], *shape[:2]) and wrapped.shape != shape
    assert glimpse_is_channels_first(wrapped) == is_transposed


@pytest.mark.parametrize("encoder", ["cnn", "mlp"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 3), (8, 8, 9), (12, 36, 1)])
def test_encoder_sees_the_same_picture_whether_transposed_or_not(
    shape: tuple[int, int, int], encoder: str
):
    env = TinyGlimpse(glimpse=shape)
    wrapped = BaseAlgorithm._wrap_env(env).observation_space
    last = GlimpseExtractor(env.observation_space, encoder=encoder)
    first = GlimpseExtractor(wrapped, encoder=encoder)
    first.load_state_dict(last.state_dict())
    assert last.what.net[0 if encoder == "cnn" else 1].weight.shape[1] == (
        shape[2] if encoder == "cnn" else np.prod(shape)
    )
    obs = preprocess_obs(observations(env.observation_space, 3), env.observation_space)
    transposed = dict(obs)
    if first.channels_first:
        transposed["glimpse"] = obs["glimpse"].permute(0, 3, 1, 2)
    th.testing.assert_close(last(obs), first(transposed))


def _encoder_input(policy: GlimpsePolicy, obs: dict[str, th.Tensor]) -> th.Tensor:
    seen = []
    hook = policy.features_extractor.what.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    policy.predict_values(obs)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("normalize_images", [True, False])
@pytest.mark.parametrize(("high", "dtype"), [(255, np.uint8), (15, np.uint8), (1.0, np.float32)])
def test_glimpses_reach_the_encoder_in_zero_one(high: float, dtype: type, normalize_images: bool):
    space = observation_space()
    space.spaces["glimpse"] = spaces.Box(0, high, (8, 8, 1), dtype)
    policy = GlimpsePolicy(
        space, spaces.Discrete(10), lambda _: 1e-3, normalize_images=normalize_images
    )
    obs = observations(space, 2)
    obs["glimpse"] = th.full((2, 8, 8, 1), high, dtype=th.from_numpy(np.zeros(1, dtype)).dtype)
    seen = _encoder_input(policy, obs)
    th.testing.assert_close(seen, th.ones(2, 1, 8, 8))


@pytest.mark.parametrize(
    "extras",
    [(), ("belief",), ("map", "classifier_features"), ("map", "belief", "classifier_features")],
)
def test_every_observation_counts_and_the_bypass_comes_last(extras: tuple[str, ...]):
    space = observation_space(extras=extras)
    extractor = GlimpseExtractor(space, encoded_dim=32, encoder="mlp")
    assert extractor.bypass_dim == (1 + N_CLASSES + 2 if "belief" in extras else 1)
    assert extractor.features_dim == 32 + extractor.bypass_dim
    obs = preprocess_obs(observations(space, 4), space)
    features = extractor(obs)
    assert features.shape == (4, extractor.features_dim)
    th.testing.assert_close(
        features[:, 32:], extractor.bypass.make(obs["remaining"], obs.get("belief"))
    )
    assert features[:, 32].tolist() == [0.0, 0.0, 0.0, 1.0]
    for key in obs:
        changed = {**obs, key: 1.0 - obs[key]}
        assert not th.allclose(extractor(changed)[:, :32], features[:, :32]), key


@pytest.mark.parametrize(("n_frequencies", "told"), [(4, True), (0, True), (None, False)])
def test_the_gaze_counts_unless_it_is_left_out(n_frequencies: int | None, told: bool):
    space = observation_space()
    extractor = GlimpseExtractor(space, encoder="mlp", n_frequencies=n_frequencies)
    obs = preprocess_obs(observations(space, 4), space)
    elsewhere = {**obs, "gaze": 1.0 - obs["gaze"]}
    assert th.allclose(extractor(elsewhere), extractor(obs)) != told


def test_missing_observation_is_named():
    space = observation_space()
    del space.spaces["gaze"]
    with pytest.raises(ValueError, match=r"missing \['gaze'\]"):
        GlimpseExtractor(space)


def test_a_vector_of_ones_own_is_read_too():
    space = observation_space()
    space.spaces["depth"] = spaces.Box(0.0, 1.0, (1,), np.float32)
    assert "depth" in GlimpseExtractor(space).vector_keys


def test_wrong_shapes_are_named():
    space = observation_space(extras=("map",))
    space.spaces["map"] = spaces.Box(0.0, 1.0, (3, 3), np.float32)
    with pytest.raises(ValueError, match="'map'"):
        GlimpseExtractor(space)
    space = observation_space()
    space.spaces["gaze"] = spaces.Box(0.0, 1.0, (2,), np.float32)
    with pytest.raises(ValueError, match=r"'gaze' has shape \(2,\), wanted \(3,\)"):
        GlimpseExtractor(space)
    with pytest.raises(ValueError, match="wanted a Dict"):
        GlimpseExtractor(spaces.Box(0, 255, (8, 8, 1), np.uint8))
