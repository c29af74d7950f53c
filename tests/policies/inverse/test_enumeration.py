"""Stage one: how it learns, saves, and which environments and settings it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from glimpse_envs.inverse.sb3 import InverseVecEnv
from glimpse_envs.sb3 import GlimpseVecEnv
from policies.inverse import ActionEnumeration, SiamesePolicy, SupervisedActions
from policies.inverse.policy import Branches

SMALL = {"features_extractor_kwargs": {"dim": 16, "reach": [0.5, 1.0], "blocks": ["self", "cross"]}}
TWO = [{"type": "MoveX", "smallest": 4.0}, {"type": "Brighten", "smallest": 0.2}]


def _env(n_envs: int = 16, **kwargs: Any) -> InverseVecEnv:
    return InverseVecEnv("GlimpseInverseDigits-v0", n_envs, seed=0, **kwargs)


def _model(cls: type = ActionEnumeration, env: InverseVecEnv | None = None, **kwargs: Any) -> Any:
    arguments = {"seed": 0, "device": "cpu", "policy_kwargs": SMALL, "n_parameters": 4, **kwargs}
    model = cls("SiamesePolicy", env or _env(), **arguments)
    model.set_logger(Logger(None, []))
    return model


def test_branches_together_say_the_mean_of_the_way_there_and_of_the_way_back_undone() -> None:
    model = _model()
    observation = model.env.reset()
    tensors, _ = model.policy.obs_to_tensor(observation)
    with th.no_grad():
        logits, means = model.policy.branches(tensors)
        distribution = model.policy.get_distribution(tensors)
    together = distribution.components["parameters"].mean
    assert th.allclose(together, 0.5 * (means[0] - means[1]), atol=1e-6)
    said = distribution.components["type"].logits[0]
    assert th.allclose(said, logits.mean(dim=0), atol=1e-6)


def test_only_the_parameter_of_the_chosen_type_is_in_the_probability() -> None:
    model = _model()
    tensors, _ = model.policy.obs_to_tensor(model.env.reset())
    distribution = model.policy.get_distribution(tensors)
    actions = distribution.sample()
    columns = {part.name: part.columns for part in model.action_space.parts}
    chosen = actions[:, columns["type"]].argmax(dim=1)
    before, rows = distribution.log_prob(actions), th.arange(len(actions))
    other = actions.clone()
    other[rows, columns["parameters"].start + (chosen + 1) % 5] += 0.3
    assert th.allclose(distribution.log_prob(other), before)
    other[rows, columns["parameters"].start + chosen] += 0.3
    assert not th.allclose(distribution.log_prob(other), before)


def test_every_term_can_be_switched_off() -> None:
    env = _env()
    for off, names in (
        ("type_coef", {"parameter", "symmetry"}),
        ("parameter_coef", {"type", "symmetry"}),
        ("symmetry_coef", {"type", "parameter"}),
    ):
        model = _model(env=env, **{off: 0.0})
        tensors, _ = model.policy.obs_to_tensor(env.reset())
        terms = model.losses(model.policy.branches(tensors), env.core)
        assert set(terms) == names


def test_true_actions_are_never_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    env = _env()
    model = _model(env=env)

    def forbidden(*_: Any) -> Any:
        raise AssertionError("the true action was asked for")

    monkeypatch.setattr(type(env.core), "remaining", forbidden)
    tensors, _ = model.policy.obs_to_tensor(env.reset())
    env.core.true_types[:] = -99
    env.core.true_parameters[:] = np.nan
    terms = model.losses(model.policy.branches(tensors), env.core)
    assert all(th.isfinite(value) for _, value in terms.values())


def test_what_is_tried_is_scored_there_and_back() -> None:
    env = _env(n_envs=6)
    model = _model(env=env)
    env.reset()
    core = env.core
    rows = np.arange(6)
    exact = np.zeros((2, 6, 5, 2), np.float32)
    exact[0, rows, core.true_types] = core.true_parameters[rows, core.true_types, None]
    exact[1] = -exact[0]
    rewards = model._try_out(core, th.as_tensor(exact)).numpy()
    assert np.allclose(rewards[:, rows, core.true_types], 1.0, atol=1e-3)
    others = np.ones((6, 5), bool)
    others[rows, core.true_types] = False
    assert np.allclose(rewards[:, others], 0.0, atol=1e-3)  # parameter 0: nothing is done


def test_the_deviation_falls_as_it_is_told_or_is_learnt() -> None:
    model = _model(std=(0.4, 0.1), std_held=0.5)
    followed = []
    losses = model.losses
    model.losses = lambda *args: (
        followed.append(model.policy.log_std.exp().mean().item()) or losses(*args)
    )
    model.learn(16 * 8)
    assert followed[:5] == pytest.approx([0.4] * 5)
    assert followed[5:] == pytest.approx([0.4 * 0.25**share for share in (0.25, 0.5, 0.75)])
    learnt = _model(std=None)
    learnt.learn(16 * 4)
    assert learnt.policy.log_std.requires_grad and learnt.policy.log_std.abs().max() > 0.0


@pytest.mark.parametrize("cls", [ActionEnumeration, SupervisedActions])
def test_a_saved_model_says_the_same_and_learns_on(cls: type, tmp_path: Path) -> None:
    model = _model(cls)
    model.learn(64)
    model.save(tmp_path / "model.zip")
    env = _env()
    loaded = cls.load(tmp_path / "model.zip", env=env, device="cpu")
    observation = env.reset()
    for ours, theirs in zip(
        model.predict(observation, deterministic=True),
        loaded.predict(observation, deterministic=True),
        strict=True,
    ):
        assert np.array_equal(ours, theirs) if ours is not None else theirs is None
    loaded.learn(64, reset_num_timesteps=False)
    assert loaded.num_timesteps == 128


def test_planning_learns_from_the_states_on_the_way() -> None:
    env = _env(max_steps=3, changes=2)
    model = _model(env=env)
    seen = []
    original = model.losses

    def watched(branches: Branches, core: Any) -> Any:
        seen.append(core.n_steps.max())
        return original(branches, core)

    model.losses = watched
    model.learn(16 * 6)
    assert set(seen) == {0, 1, 2}


def test_plain_ppo_learns_with_the_same_policy() -> None:
    model = PPO(
        SiamesePolicy,
        _env(),
        n_steps=2,
        batch_size=32,
        n_epochs=1,
        policy_kwargs=SMALL,
        seed=0,
        device="cpu",
    )
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(32)
    pairs = zip(before, model.policy.parameters(), strict=True)
    assert sum(not th.equal(old, new) for old, new in pairs) > 0.9 * len(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type_reward": "median"}, "wanted one of"),
        ({"n_parameters": 1}, "at least 2"),
        ({"std": (0.1,)}, "first and last deviation"),
        ({"std": (0.1, 0.0)}, "above 0"),
        ({"std_held": 1.0}, r"share in \[0, 1\)"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _model(**arguments)


def test_other_environments_are_refused() -> None:
    env = GlimpseVecEnv("GlimpseDigits-Hybrid-v0", 2, seed=0)
    with pytest.raises(ValueError, match="those of an inverse environment"):
        ActionEnumeration("SiamesePolicy", env, device="cpu")


def test_a_training_that_is_extended_goes_on_as_narrow_as_it_was() -> None:
    model = _model(std=(0.4, 0.1))
    model.learn(16 * 8)
    last = model.policy.log_std.max().item()
    model.learn(16 * 8, reset_num_timesteps=False)
    assert model.policy.log_std.max().item() <= last


def test_separate_extractors_work_too() -> None:
    model = _model(policy_kwargs={**SMALL, "share_features_extractor": False})
    model.learn(32)
    assert model.num_timesteps == 32


@pytest.mark.parametrize("arguments", [{"net_arch": [64]}, {"gates": {"type": {"x": 1}}}])
def test_what_the_policy_sets_itself_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got (net_arch|gates); wanted none"):
        _model(policy_kwargs={**SMALL, **arguments})


@pytest.mark.slow
def test_rewards_alone_teach_types_and_parameters() -> None:
    env = _env(64, actions=TWO)
    model = _model(env=env, n_parameters=8, policy_kwargs={})
    model.learn(20_000)
    judged = _env(256, actions=TWO, split="validation")
    observation = judged.reset()
    actions, _ = model.predict(observation, deterministic=True)
    decoded = judged.view.decode(actions)
    right = decoded["type"] == judged.core.true_types
    assert right.mean() > 0.9
    rows = np.arange(256)
    errors = np.abs(
        decoded["parameters"][rows, judged.core.true_types]
        - judged.core.true_parameters[rows, judged.core.true_types]
    )
    assert np.median(errors) < 0.15
