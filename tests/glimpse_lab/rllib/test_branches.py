"""The branched network in RLlib: what each loss reaches, and that all faces compute the same."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchDDPRLModule
from ray.rllib.evaluation.postprocessing import Postprocessing

from glimpse_lab.rllib.config import ppo
from glimpse_lab.rllib.learner import LABELS, SEEN, advantage, classifier_loss
from glimpse_lab.rllib.module import TRUNKS
from glimpse_lab.rllib.runner import LanesRunner
from policies.classifier.model import N_TEMPERATURES

IDS = [f"GlimpseDigits-{scheme}-v0" for scheme in ("GreedyMap", "MultiCat", "Hybrid", "Saccade")]
TRUNK = {"type": "gru", "hidden_size": 16, "code_size": 8, "encoder": "mlp"}

THROUGH_TRUNK = {"features_extractor_kwargs": {"encoder": "none", "encoded_dim": 16}}
LOSS = {"early_weight": 0.25, "label_smoothing": 0.1}


def config(env_id: str = IDS[1], **settings: Any) -> Any:
    settings = {"trunk": TRUNK, "n_lanes": 8, "steps": 64, **settings}
    settings.setdefault("policy_kwargs", {"net_arch": [8], **THROUGH_TRUNK})
    return ppo(env_id, env_kwargs={"budget": 3}, **settings)


def made(settings: Any, steps: int = 64) -> tuple[Any, LanesRunner, list[Any]]:
    """A learner and a runner with the same weights, and episodes of the latter."""
    runner = LanesRunner(config=settings, worker_index=0)
    learner = settings.build_learner(spaces=runner.get_spaces())
    runner.set_state({"rl_module": learner.module[DEFAULT_MODULE_ID].get_state()})
    return learner, runner, runner.sample(num_timesteps=steps)


def batch_of(learner: Any, episodes: list[Any]) -> dict[str, Any]:
    connector = learner._learner_connector
    return connector(rl_module=learner.module, batch={}, episodes=episodes, shared_data={})


def noted(runner: LanesRunner) -> dict[int, list[Any]]:
    """The episodes that a runner ends from now on, by lane, in their order."""
    cut_out, of_lane = runner._cut_out, {}

    def note(lane: int, *arguments: Any) -> Any:
        episode = cut_out(lane, *arguments)
        of_lane.setdefault(int(lane), []).append(episode)
        return episode

    runner._cut_out = note
    return of_lane


def gradients(learner: Any, batch: dict[str, Any]) -> dict[str, th.Tensor]:
    """The gradient of the learner's loss in every weight; zeros where there is none."""
    module = learner.module[DEFAULT_MODULE_ID]
    module.zero_grad()
    losses = learner.compute_losses(fwd_out=learner.module.forward_train(batch), batch=batch)
    losses[DEFAULT_MODULE_ID].backward()
    return {
        name: th.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in module.named_parameters()
    }


@pytest.mark.parametrize("kind", list(TRUNKS))
@pytest.mark.parametrize("cut", [False, True])
def test_reinforcement_does_not_reach_the_classifier(kind: str, cut: bool) -> None:
    trunk = {key: TRUNK[key] for key in ("hidden_size", "encoder")} | {"type": kind}
    trunk = {"type": kind, "width": 4} if kind == "canvas" else trunk
    settings = config(trunk=trunk, cut_trunk=cut)
    learner, _, episodes = made(settings)
    batch = batch_of(learner, episodes)
    both = gradients(learner, batch)
    learner.config.learner_config_dict = {"classifier_coeff": 0.0, **LOSS}
    rl = gradients(learner, batch)

    module = learner.module[DEFAULT_MODULE_ID]
    module.zero_grad()
    rows = batch[DEFAULT_MODULE_ID]
    hidden, logits = module.watch(rows[Columns.OBS])
    classifier_loss(logits, rows[LABELS], rows[SEEN], **LOSS).backward()
    supervised = {name: weight.grad for name, weight in module.named_parameters()}

    names = {"readout": [], "trunk": [], "policy": [], "value": []}
    for name in both:
        branch = (
            "readout" if "readout" in name
            else "trunk" if "memory" in name
            else "value" if "value" in name
            else "policy"
        )  # fmt: skip
        names[branch].append(name)
    for name in names["readout"]:
        assert not rl[name].any()  # not small: none
        assert both[name].any() and th.equal(both[name], supervised[name])
    for name in names["trunk"]:
        if cut:
            assert not rl[name].any()
            assert th.equal(both[name], supervised[name])
        else:
            th.testing.assert_close(both[name], rl[name] + supervised[name], rtol=1e-3, atol=1e-4)
    if not cut:
        assert any(rl[name].any() for name in names["trunk"])
    for name in names["policy"] + names["value"]:
        assert supervised[name] is None
        th.testing.assert_close(both[name], rl[name])
    assert any(rl[name].any() for name in names["policy"])
    assert any(rl[name].any() for name in names["value"])
    assert hidden.shape[:2] == rows[SEEN].shape


def test_a_frozen_classifier_is_not_read_again() -> None:
    """Its features and belief are those of the rollout, and the gradients those of a cut trunk."""
    frozen, _, episodes = made(config(trunk=TRUNK, cut_trunk=True, freeze_classifier=True))
    learner, _, _ = made(config(trunk=TRUNK, cut_trunk=True), steps=0)
    learner.module[DEFAULT_MODULE_ID].set_state(frozen.module[DEFAULT_MODULE_ID].get_state())
    batch = batch_of(frozen, episodes)
    got, wanted = gradients(frozen, batch), gradients(learner, batch_of(learner, episodes))
    for name in got:
        if name.startswith("classifier."):
            assert not got[name].any()
        else:
            th.testing.assert_close(got[name], wanted[name], rtol=1e-3, atol=1e-5)
    frozen.module[DEFAULT_MODULE_ID].watch = None  # nothing calls it
    frozen.module.forward_train(batch)
    with pytest.raises(ValueError, match="freeze_classifier and cut_trunk=False"):
        config(freeze_classifier=True)


@pytest.mark.parametrize("trunk", [TRUNK, {"type": "canvas", "width": 4}])
@pytest.mark.parametrize("env_id", IDS)
def test_acting_and_training_compute_the_same(env_id: str, trunk: dict[str, Any]) -> None:
    learner, runner, _ = made(config(env_id, trunk=trunk), steps=0)
    module = learner.module[DEFAULT_MODULE_ID]
    module.classifier.temperatures[:] = th.linspace(0.5, 2.0, N_TEMPERATURES)  # as if calibrated
    runner.set_state({"rl_module": module.get_state()})
    episodes = runner.sample(num_timesteps=64)
    rows = batch_of(learner, episodes)[DEFAULT_MODULE_ID]
    with th.no_grad():
        out = module.forward_train(rows)
    mask = rows[Columns.LOSS_MASK]
    assert mask.sum() == sum(len(episode) for episode in episodes) >= 64
    inputs = out[Columns.ACTION_DIST_INPUTS]
    th.testing.assert_close(
        inputs[mask], rows[Columns.ACTION_DIST_INPUTS][mask], rtol=1e-4, atol=1e-4
    )
    logp = module.action_dist_cls.from_logits(inputs).logp(rows[Columns.ACTIONS])
    th.testing.assert_close(logp[mask], rows[Columns.ACTION_LOGP][mask], rtol=1e-4, atol=1e-4)


def test_values_by_embeddings_are_those_by_the_trunk() -> None:
    learner, _, episodes = made(config())
    rows = batch_of(learner, episodes)[DEFAULT_MODULE_ID]
    module = learner.module[DEFAULT_MODULE_ID]
    out = module.forward_train(rows)
    values = module.compute_values(rows, embeddings=out[Columns.EMBEDDINGS])
    th.testing.assert_close(values, module.compute_values(rows))


@pytest.mark.parametrize("env_id", IDS)
def test_episodes_are_those_of_the_environment(env_id: str) -> None:
    """The first episode of every lane, played again in the same lanes, looks and pays the same."""
    settings = config(env_id, seed=3)
    runner = LanesRunner(config=settings, worker_index=0)
    of_lane = noted(runner)
    episodes = runner.sample(num_timesteps=100)
    assert sum(map(len, of_lane.values())) == len(episodes)
    lanes = gym.make_vec(
        env_id, num_envs=8, vectorization_mode="vector_entry_point", **settings.env_config
    )
    lanes.unwrapped.config.classifier.load_state_dict(runner.module.classifier.state_dict())
    observation, _ = lanes.reset(seed=runner.seeds())
    played = [of_lane[lane][0] for lane in range(8)]
    for lane, episode in enumerate(played):
        assert np.array_equal(episode.observations.data["glimpse"][0], observation["glimpse"][lane])
    for t in range(max(map(len, played))):
        actions = np.stack([e.actions.data[min(t, len(e) - 1)] for e in played])
        observation, rewards, ended, _, infos = lanes.step(runner._for_env(actions))
        for lane, episode in enumerate(played):
            if t >= len(episode):
                continue
            assert rewards[lane] == episode.rewards.data[t]
            assert ended[lane] == (t == len(episode) - 1)
            shown = {name: rows[lane] for name, rows in observation.items()}
            if ended[lane]:
                shown = infos["final_obs"][lane]
                final = infos["final_info"]
                told = {name: final[name][lane] for name in episode.get_infos(-1)}
                assert told == episode.get_infos(-1) and "label" in told
            for name, rows in episode.observations.data.items():
                assert np.array_equal(rows[t + 1], shown[name])
    for episode in episodes:
        assert episode.is_terminated and episode.t_started == 0
    # no label, and nothing that the classifier computed, travels
    assert set(episodes[0].observations.data) <= {"glimpse", "gaze", "remaining", "map"}


def test_no_two_runners_see_the_same_and_none_sees_it_again() -> None:
    runners = [LanesRunner(config=config(seed=3), worker_index=index) for index in (1, 2)]
    seeds = set()
    for done in (0, 64):
        for runner in runners:
            runner.set_state({"num_env_steps_sampled_lifetime": done})
            assert runner.seeds() == runner.seeds()
            seeds.update(runner.seeds())
    assert len(seeds) == 4 * 8


def test_a_number_of_episodes_is_not_that_of_the_shortest() -> None:
    _, runner, _ = made(config())
    of_lane = noted(runner)
    episodes = runner.sample(num_episodes=20)
    assert len({len(episode) for episode in episodes}) > 1
    wanted = [e for lane in range(8) for e in of_lane[lane][: 3 if lane < 4 else 2]]
    assert {id(e) for e in episodes} == {id(e) for e in wanted} and len(episodes) == 20
    assert sum(map(len, of_lane.values())) > 20  # some ended that are not among them


def test_random_actions_have_no_log_probabilities_of_others() -> None:
    _, runner, _ = made(config())
    assert runner._taken.any()  # some episodes have begun
    for random_actions in (True, False):
        episodes = runner.sample(num_timesteps=64, random_actions=random_actions)
        known = set() if random_actions else {"action_logp", "action_dist_inputs"}
        assert all(set(episode.extra_model_outputs) == known for episode in episodes)


def test_lanes_made_anew_share_the_classifier() -> None:
    _, runner, _ = made(config())
    before, digest = runner.env, runner.module.classifier.digest()
    runner.make_env()
    assert runner.env is not before
    assert runner.env.unwrapped.config.classifier is runner.module.classifier
    assert runner.module.classifier.digest() == digest
    assert runner.sample(num_timesteps=64)


def test_a_learner_among_several_takes_the_module_out_of_its_wrapper() -> None:
    """That of PyTorch for gradients averaged over learners; here of one alone."""
    learner, _, episodes = made(config())
    alone = batch_of(learner, episodes)
    wanted = gradients(learner, alone)
    module = learner.module[DEFAULT_MODULE_ID]
    th.distributed.init_process_group(
        "gloo", store=th.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        learner.module._rl_modules[DEFAULT_MODULE_ID] = TorchDDPRLModule(module)
        for _ in range(2):  # the second would fail if a weight had had no gradient in the first
            batch = batch_of(learner, episodes)
            found = gradients(learner, batch)
        for name, gradient in wanted.items():
            th.testing.assert_close(found[f"module.{name}"], gradient)
    finally:
        th.distributed.destroy_process_group()


def test_the_explained_variance_is_that_of_the_steps_there_are() -> None:
    learner, _, episodes = made(config())
    batch = batch_of(learner, episodes)
    gradients(learner, batch)
    rows = batch[DEFAULT_MODULE_ID]
    mask = rows[Columns.LOSS_MASK]
    assert not mask.all()
    with th.no_grad():
        values = learner.module[DEFAULT_MODULE_ID].compute_values(rows)[mask]
    targets = rows[Postprocessing.VALUE_TARGETS][mask]
    found = learner.metrics.peek((DEFAULT_MODULE_ID, "vf_explained_var"))
    assert found == pytest.approx((1.0 - (targets - values).var() / targets.var()).item(), 1e-3)


def test_lanes_go_on_across_samples_and_are_read_anew() -> None:
    learner, runner, _ = made(config())
    taken = runner._taken.copy()
    assert taken.any()
    with th.no_grad():
        for weight in learner.module[DEFAULT_MODULE_ID].classifier.parameters():
            weight.add_(0.1)
    state = learner.module[DEFAULT_MODULE_ID].get_state()
    runner.set_state({"rl_module": state})
    before = runner._observation["classifier_features"].copy()
    runner.sample(num_timesteps=0)
    assert np.array_equal(runner._taken, taken)
    assert not np.allclose(before, runner._observation["classifier_features"])
    shared = runner.env.unwrapped.config.classifier
    assert shared is runner.module.classifier
    for name, weight in shared.state_dict().items():
        assert np.array_equal(weight.numpy(), state[f"classifier.{name}"])


def test_advantages_by_hand() -> None:
    rewards = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
    values = np.array([[0.5, 0.25, 9.0], [0.5, 9.0, 9.0]], np.float32)
    mask = np.array([[True, True, False], [True, False, False]])
    # lane 0: delta_1 = 1 - 0.25, delta_0 = 0.9 * 0.25 - 0.5; lane 1 ends at once
    second = 0.75
    first = 0.9 * 0.25 - 0.5 + 0.9 * 0.8 * second
    wanted = [[first, second, 0.0], [0.5, 0.0, 0.0]]
    found = advantage(rewards, values, mask, gamma=0.9, lambda_=0.8)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_loss_of_the_classifier_by_hand() -> None:
    logits = th.tensor([[[0.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [9.0, 9.0]]])
    seen = th.tensor([[True, True], [True, False]])
    found = classifier_loss(logits, th.tensor([0, 1]), seen, early_weight=0.25)
    first = (0.25 * np.log(2.0) + np.log1p(np.exp(-2.0))) / 1.25
    assert found.item() == pytest.approx((first + np.log1p(np.exp(1.0))) / 2)


def test_advantages_are_normalised_over_the_steps_there_are() -> None:
    learner, _, episodes = made(config())
    rows = batch_of(learner, episodes)[DEFAULT_MODULE_ID]
    valid = rows[Postprocessing.ADVANTAGES][rows[Columns.LOSS_MASK]]
    assert abs(valid.mean().item()) < 1e-4 and valid.std(correction=0).item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env_id": "GlimpseInverseDigits-v0"}, "wanted one with glimpses"),
        ({"env_id": IDS[0], "trunk": {"type": "rcn"}}, "wanted a type of feedforward"),
        ({"env_id": IDS[0], "env_kwargs": {"classifier": "gru"}}, "wanted it as trunk="),
        ({"env_id": IDS[0], "trunk": {"type": "canvas", "mirror": True}}, "one hidden vector"),
        ({"env_id": IDS[0], "policy_kwargs": {"activation_fn": "nn.Relo"}}, "nn.Relo"),
        (
            {"env_id": IDS[0], "policy_kwargs": {"share_features_extractor": False}},
            "wanted one extractor",
        ),
    ],
)
def test_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ppo(**arguments)
