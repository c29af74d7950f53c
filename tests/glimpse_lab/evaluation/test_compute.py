"""What an answer costs to compute, against what the layers' sizes say."""

import pytest
import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from torch import nn

from glimpse_envs.config import make_config
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_lab.evaluation.compute import _Meter, measure_compute
from glimpse_lab.evaluation.rollout import evaluate
from policies import GlimpseLstmPolicy, GlimpsePolicy

EXTRACTOR = {"features_extractor_kwargs": {"encoder": "mlp", "glimpse_dim": 16, "where_dim": 16}}
SMALL = {"n_steps": 4, "batch_size": 8, "seed": 0, "device": "cpu"}


def linear(module: nn.Module) -> int:
    """Multiply-adds of the linear layers, each used once."""
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    return sum(layer.in_features * layer.out_features for layer in layers)


def config(env_id: str = "GlimpseDigits-Saccade-v0", **parts: object):
    classifier = {"type": "feedforward", "encoder": "mlp", "hidden_size": 16}
    given = {**registered_kwargs(env_id), "classifier": classifier, "split": "test", **parts}
    return make_config(**given)


def test_an_agent_is_counted_layer_by_layer_for_each_glimpse() -> None:
    settings = config(budget=3)
    model = PPO(GlimpsePolicy, GlimpseVecEnv(settings, 4), policy_kwargs=EXTRACTOR, **SMALL)
    found = measure_compute(model, settings, 40)
    assert found.mean_glimpses == 3.0 and found.lanes == 40
    assert found.classifier.multiply_adds == 3 * linear(settings.classifier)
    wanted = sum(p.numel() for p in settings.classifier.parameters())
    assert found.classifier.parameters == wanted
    # the last glimpse ends the episode: two decisions; the value is not asked for
    assert 0 < found.policy.multiply_adds <= 2 * linear(model.policy)
    assert found.sensor.multiply_adds is None and found.sensor.milliseconds > 0
    parts = (found.sensor, found.policy, found.classifier)
    assert found.parameters == sum(part.parameters for part in parts)
    assert found.milliseconds == pytest.approx(sum(part.milliseconds for part in parts))
    assert found.multiply_adds == found.policy.multiply_adds + found.classifier.multiply_adds


def test_an_agent_that_answers_soon_is_computed_no_further() -> None:
    settings = config("GlimpseDigits-MultiCat-v0", budget=6)
    kwargs = {**EXTRACTOR, "initial_stop_probability": 0.6}
    model = PPO(GlimpsePolicy, GlimpseVecEnv(settings, 4), policy_kwargs=kwargs, **SMALL)
    paths = evaluate(model, settings, index=50)
    found = measure_compute(model, settings, 50)
    assert found.mean_glimpses == pytest.approx(paths.n_glimpses.mean())
    per_glimpse = linear(settings.classifier)
    assert found.classifier.multiply_adds == pytest.approx(found.mean_glimpses * per_glimpse)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_recurrent_convolution_counts_every_connection_at_every_time_step(steps: int) -> None:
    settings = config(budget=3, classifier={"type": "rcn", "width": 4, "steps": steps})
    model = PPO(GlimpsePolicy, GlimpseVecEnv(settings, 4), policy_kwargs=EXTRACTOR, **SMALL)
    found, memory = measure_compute(model, settings, 20), settings.classifier.memory
    places = [rows * columns for rows, columns, _ in memory.shapes]
    stem_rows, stem_columns = (-(-side // 2) for side in memory.layout.grid_shape)
    once = stem_rows * stem_columns * memory.stem[0].weight.numel()
    once += places[0] * memory.areas[0].bottom_up.weight.numel()
    once += places[1] * memory.places.weight.numel() + linear(settings.classifier)
    again = sum(
        place * area.lateral.weight.numel()
        for place, area in zip(places, memory.areas, strict=True)
    )
    for level in (0, 1):
        again += places[level + 1] * memory.areas[level].top_down.weight.numel()
        again += places[level + 1] * memory.areas[level + 1].bottom_up.weight.numel()
    assert found.classifier.multiply_adds == 3 * (once + steps * again)
    assert found.classifier.parameters == sum(p.numel() for p in settings.classifier.parameters())
    assert found.full_image.multiply_adds > 0


def test_a_recurrent_policy_counts_its_memory() -> None:
    settings = config(budget=3)
    kwargs = {**EXTRACTOR, "lstm_hidden_size": 32, "enable_critic_lstm": False, "shared_lstm": True}
    env = GlimpseVecEnv(settings, 4)
    model = RecurrentPPO(GlimpseLstmPolicy, env, policy_kwargs=kwargs, **SMALL)
    found = measure_compute(model, settings, 20)
    lstm = model.policy.lstm_actor
    assert found.policy.multiply_adds >= 2 * 4 * 32 * (lstm.input_size + 32)


def test_the_network_of_the_whole_image_is_of_the_classifiers_kind() -> None:
    settings = config(budget=2)
    model = PPO(GlimpsePolicy, GlimpseVecEnv(settings, 4), policy_kwargs=EXTRACTOR, **SMALL)
    found = measure_compute(model, settings, 20).full_image
    side = settings.shape[0]
    first = (
        side**2 - settings.sensor.size**2
    ) * 16  # the same layers, but for a glimpse of the whole image
    assert found.multiply_adds == linear(settings.classifier) + first


def test_attention_is_counted() -> None:
    """Every query meets every key, and every weight a value."""
    meter, tokens = _Meter(), th.zeros(2, 4, 9, 16)  # images, heads, tokens, size
    with th.inference_mode():
        meter.counted(th.nn.functional.scaled_dot_product_attention, tokens, tokens, tokens)
    assert meter.multiply_adds == 2 * (2 * 4 * 9 * 9 * 16)
