"""Training a classifier before the agent and between its rollouts, in real training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch as th
from episodes import SMALL, classifier, quadrants, shake
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor
from tiny import TinyGlimpse

from glimpse_envs.core import GlimpseCore
from glimpse_envs.sb3 import GlimpseVecEnv
from policies import GlimpseLstmPolicy, GlimpsePolicy
from policies.callbacks import Diverged
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.model import TorchClassifier
from policies.save_timer import SaveTimer

ENV_ID = "GlimpseDigits-MultiCat-v0"
LANES, STEPS = 8, 8
QUADRANTS = {"dataset": quadrants(), "scene": "Plain", "budget": 3}


def make_env(reader: Any, env_id: str = ENV_ID, **parts: Any) -> GlimpseVecEnv:
    parts = {**QUADRANTS, "observe_classifier_features": True, **parts}
    return GlimpseVecEnv(env_id, LANES, seed=0, classifier=reader, **parts)


def make_model(env: VecEnv, kind: type[BaseAlgorithm] = PPO, seed: int = 0) -> BaseAlgorithm:
    policy = GlimpsePolicy if kind is PPO else GlimpseLstmPolicy
    kwargs: dict[str, Any] = {"features_extractor_kwargs": {"encoder": "none"}}
    if kind is RecurrentPPO:
        kwargs |= {"lstm_hidden_size": 16}
    settings = {"n_steps": STEPS, "batch_size": 32, "n_epochs": 1, "policy_kwargs": kwargs}
    return kind(policy, env, seed=seed, **settings)


def cotraining(**settings: Any) -> CoTrainingCallback:
    small = {"pretraining": 64, "batch_size": 16, "epochs": 2.0, "bfloat16": False}
    return CoTrainingCallback(**{**small, **settings})


class Spy(BaseCallback):
    """Calls functions with the model at the beginning and at the end of every rollout."""

    def __init__(self, start: Callable = lambda m: None, end: Callable = lambda m: None) -> None:
        super().__init__()
        self.start, self.end = start, end

    def _on_rollout_start(self) -> None:
        self.start(self.model)

    def _on_rollout_end(self) -> None:
        self.end(self.model)

    def _on_step(self) -> bool:
        return True


def learn(model: BaseAlgorithm, callback: CoTrainingCallback, rollouts: int = 3, **spy) -> None:
    model.learn(rollouts * LANES * STEPS, callback=[callback, Spy(**spy)])


def updates(callback: CoTrainingCallback) -> set[int]:
    """How many steps the optimiser has made with each weight."""
    state = callback.fitter.optimizer.state_dict()["adamw"]["state"]
    return {int(moments["step"]) for moments in state.values()}


def rate(callback: CoTrainingCallback) -> float:
    """The learning rate of its last update."""
    return callback.fitter.optimizer.state_dict()["adamw"]["param_groups"][0]["lr"]


# ---- beside the agent ----


@pytest.mark.parametrize("kind", [PPO, RecurrentPPO])
def test_the_classifier_changes_between_rollouts_and_never_within_one(kind):
    given = {"type": "canvas", **SMALL["canvas"]}
    env = GlimpseVecEnv(ENV_ID, LANES, seed=0, classifier=given, budget=3)
    model, reader = make_model(env, kind), env.config.classifier
    first, starts, ends, logged = reader.digest(), [], [], []

    def end(model: BaseAlgorithm) -> None:
        ends.append(reader.digest())
        logged.append(dict(model.logger.name_to_value))

    learn(model, cotraining(), start=lambda m: starts.append(reader.digest()), end=end)
    assert len({first, *starts, *ends}) == 1 + 1 + 3  # untrained, pretrained up, after each rollout
    assert starts[1:] == ends[:-1] and ends[0] != starts[0]
    for recorded in logged:
        assert recorded["classifier/updates"] >= 1 and np.isfinite(recorded["classifier/loss"])
        assert 0 <= recorded["classifier/accuracy"] <= 1


@pytest.mark.parametrize("kind", [PPO, RecurrentPPO])
def test_a_frozen_classifier_stays_as_its_pretraining_left_it(kind):
    env = make_env(classifier("gru"))
    reader, digests = env.config.classifier, []
    first = reader.digest()
    callback = cotraining(frozen=True)
    learn(
        make_model(env, kind),
        callback,
        start=lambda m: digests.append(reader.digest()),
        end=lambda m: digests.append(reader.digest()),
    )
    assert len(set(digests)) == 1 and digests[0] != first and len(digests) == 6
    assert (
        callback.pretraining.n_done == 64 and updates(callback) == {4} and len(callback.store) == 0
    )
    assert rate(callback) == pytest.approx(2e-3 / 4)  # three quarters of the way from 1 to 0


def fresh(core: GlimpseCore, lane: int, reader: TorchClassifier) -> tuple[np.ndarray, np.ndarray]:
    """Belief and hidden features of a lane, from its image and its gazes so far."""
    state, image = reader.start(1), core.image(lane)[None]
    for gaze in core.history[lane, : core.n_glimpses[lane], None]:
        state, belief, hidden = reader.update(state, core.config.sensor(image, gaze), gaze)
    return belief[0], hidden[0]


@pytest.mark.parametrize("scheme", ["MultiCat", "Saccade"])
@pytest.mark.parametrize(
    ("memory", "frozen"), [("canvas", False), ("rcn", False), ("lstm", False), ("canvas", True)]
)
def test_a_rollout_starts_with_what_the_changed_classifier_reads(scheme, memory, frozen):
    sensor = {"type": "Crop", "size": 8}
    env = make_env(classifier(memory), f"GlimpseDigits-{scheme}-v0", sensor=sensor, budget=4)
    core, reader, lengths = env.core, env.config.classifier, set()

    def check(model: BaseAlgorithm) -> None:
        lengths.update(core.n_glimpses.tolist())
        for lane in range(LANES):
            belief, hidden = fresh(core, lane, reader)
            got = {key: model._last_obs[key][lane] for key in ("belief", "classifier_features")}
            np.testing.assert_allclose(got["belief"], belief, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(got["classifier_features"], hidden, rtol=1e-5, atol=1e-5)

    learn(make_model(env), cotraining(frozen=frozen), start=check, rollouts=4)
    assert len(lengths) > 1


def test_gymnasium_environments_that_share_a_classifier_are_trained_together():
    reader = classifier("gru")
    parts = {**QUADRANTS, "classifier": reader, "observe_classifier_features": True}
    env = DummyVecEnv([lambda: gymnasium.make(ENV_ID, **parts) for _ in range(LANES)])
    model, digests = make_model(env), []
    cores = [core for core in env.get_attr("core")]
    assert all(core.config.classifier is reader for core in cores)

    def check(model: BaseAlgorithm) -> None:
        digests.append(reader.digest())
        for lane, core in enumerate(cores):
            belief, _ = fresh(core, 0, reader)
            np.testing.assert_allclose(model._last_obs["belief"][lane], belief, rtol=1e-5)

    callback = cotraining()
    learn(model, callback, start=check)
    assert len(set(digests)) == 3 and len(callback.store) > 0


def test_episodes_of_every_lane_are_kept_and_used():
    env, ended, made = make_env(classifier("gru")), [], []
    callback = cotraining(epochs=3.0, random_share=0.25)  # 12 of 16 are the agent's own
    model = make_model(VecMonitor(env))

    class Count(Spy):
        def _on_step(self) -> bool:
            ended[-1] += int(np.sum(self.locals["dones"]))
            return True

    def end(model: BaseAlgorithm) -> None:
        made.append(updates(callback).pop())

    model.learn(
        5 * LANES * STEPS, callback=[callback, Count(start=lambda m: ended.append(0), end=end)]
    )
    assert callback.store.total == sum(ended) - LANES  # without those that had begun before
    own = np.cumsum([ended[0] - LANES, *ended[1:]])
    np.testing.assert_array_equal(np.subtract(made, 4), np.floor(3 * own / 12 + 1e-9))


def test_without_epochs_or_pretraining_nothing_is_trained():
    env = make_env(classifier("gru"))
    first = env.config.classifier.digest()
    learn(make_model(env), cotraining(pretraining=0, epochs=0.0))
    assert env.config.classifier.digest() == first
    learn(make_model(env), cotraining(pretraining=0))
    assert env.config.classifier.digest() != first


def test_the_learning_rate_falls_over_pretraining_and_training_to_zero():
    env, rates = make_env(classifier("gru")), []
    callback = cotraining(pretraining=160, handover=0.4, learning_rate=1e-2)
    note = lambda m: rates.append(rate(callback))  # noqa: E731
    learn(make_model(env), callback, start=note, end=note, rollouts=4)
    assert rates[0] == pytest.approx(1e-2 * (1 - 0.6 * 9 / 10))
    ends = rates[1::2]
    np.testing.assert_allclose(ends, [1e-2 * 0.4 * left for left in (1, 0.75, 0.5, 0.25)])


def test_only_rollouts_are_read_in_bfloat16():
    env, seen = make_env(classifier("canvas")), []
    callback = cotraining(bfloat16=True)
    learn(make_model(env), callback, end=lambda m: seen.append(env.config.classifier.bfloat16))
    assert seen == [callback.fitter.bfloat16] * 3  # true where the processor has it
    assert env.config.classifier.bfloat16 is False


# ---- what cannot be trained ----


class Guess:
    """A classifier that is none of ours."""

    n_classes, hidden_size = 4, 1

    def start(self, n: int) -> np.ndarray:
        return np.zeros((n, 1), np.float32)

    def update(self, state: np.ndarray, glimpse: np.ndarray, gaze: np.ndarray) -> tuple:
        return state, np.full((len(state), 4), 0.25, np.float32), state


def test_a_classifier_that_is_no_torch_classifier_is_refused():
    message = "wanted one TorchClassifier that all share"
    with pytest.raises(ValueError, match=f"Guess.*{message}"):
        learn(make_model(make_env(Guess())), cotraining())
    with pytest.raises(ValueError, match=f"classifier None; {message}"):
        learn(make_model(make_env(None, observe_classifier_features=False)), cotraining())


def test_classifiers_of_their_own_are_refused():
    parts = {**QUADRANTS, "classifier": {"type": "gru", **SMALL["gru"]}}
    env = DummyVecEnv([lambda: gymnasium.make(ENV_ID, **parts) for _ in range(LANES)])
    with pytest.raises(ValueError, match="that all share"):
        learn(make_model(env), cotraining())


def test_another_kind_of_environment_is_refused():
    with pytest.raises(ValueError, match="needs glimpse environments"):
        learn(make_model(DummyVecEnv([TinyGlimpse] * LANES)), cotraining())


@pytest.mark.parametrize(
    "wrong", [{"pretraining": -1}, {"epochs": -1.0}, {"random_share": 1.0}, {"batch_size": 1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"wanted .*(at least|less than)"):
        CoTrainingCallback(**wrong)


def test_unknown_settings_and_gazes_are_refused():
    with pytest.raises(ValueError, match="did you mean 'Walk'"):
        CoTrainingCallback(gaze="Wolk")
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        CoTrainingCallback(learning_rat=1.0)
    with pytest.raises(ValueError, match=r"learning_rate='2e-3'.*wanted a number"):
        CoTrainingCallback(learning_rate="2e-3")


def test_a_small_batch_holds_at_least_one_episode_of_the_agent(monkeypatch):
    callback, drawn = cotraining(batch_size=4, random_share=0.9), []
    sample = callback.store.sample
    monkeypatch.setattr(callback.store, "sample", lambda n, rng: drawn.append(n) or sample(n, rng))
    learn(make_model(make_env(classifier("gru"))), callback)
    assert set(drawn) == {1}


# ---- keeping and resuming ----


def warm(folder: Path, reader: TorchClassifier, seed: int = 0, **settings: Any) -> tuple[str, set]:
    """The digest after a frozen training with a cache, and the steps of the optimiser."""
    callback = cotraining(frozen=True, **settings)
    callback.cache = folder
    learn(make_model(make_env(reader), seed=seed), callback, rollouts=1)
    assert callback.pretraining.n_done == callback.pretraining.n_episodes
    return reader.digest(), updates(callback)


def test_a_finished_pretraining_is_found_again(tmp_path, capsys):
    first, steps = warm(tmp_path, classifier("gru"))
    (file,) = tmp_path.glob("*.pt")
    written = file.stat().st_mtime_ns
    assert f"is kept as {file}" in capsys.readouterr().out
    again, same_steps = warm(tmp_path, classifier("gru"))
    shown = capsys.readouterr()
    assert f"trained before with these settings: {file}" in shown.out
    assert "images/s" not in shown.err  # no progress bar of a pretraining
    assert (again, same_steps) == (first, steps)
    assert [f.stat().st_mtime_ns for f in tmp_path.iterdir()] == [written]


@pytest.mark.parametrize(
    "other",
    [
        {"reader": classifier("gru", seed=1)},
        {"reader": classifier("gru", hidden_size=9)},
        {"seed": 1},
        {"pretraining": 96},
        {"gaze": "Centre"},
        {"learning_rate": 1e-3},
        {"batch_size": 32},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_settings_pretraining_anew(other, tmp_path):
    digests = {warm(tmp_path, classifier("gru"))[0]}
    digests.add(warm(tmp_path, **{"reader": classifier("gru"), **other})[0])
    assert len(digests) == 2 and len(list(tmp_path.glob("*.pt"))) == 2


def test_a_classifier_that_knows_something_is_not_replaced_by_a_kept_pretraining(tmp_path):
    kept, _ = warm(tmp_path, classifier("gru"))
    experienced = classifier("gru")
    shake(experienced)
    assert warm(tmp_path, experienced)[0] != kept


def test_a_pretraining_that_was_stopped_goes_on_with_its_optimiser(tmp_path):
    saved: list[dict[str, Any]] = []

    def stop(model: BaseAlgorithm) -> None:
        saved.append(first.state())
        if len(saved) == 3:
            reader.save(tmp_path / "c.pt", **saved[-1])
            raise KeyboardInterrupt

    reader, first = classifier("gru"), cotraining(pretraining=128)
    first.pretraining.timer, first.checkpoint = SaveTimer(0.0, 0.0), stop
    with pytest.raises(KeyboardInterrupt):
        learn(make_model(make_env(reader)), first)
    assert [state["pretrained"] for state in saved] == [16, 32, 48]

    second = cotraining(pretraining=128, frozen=True)
    second.pretraining.timer, going_on = SaveTimer(0.0, 0.0), []
    second.checkpoint = lambda model: going_on.append(second.state()["pretrained"])
    second.restore({"pretrained": saved[-1]["pretrained"], "optimizer": saved[-1]["optimizer"]})
    learn(make_model(make_env(TorchClassifier.load(tmp_path / "c.pt"))), second, rollouts=1)
    assert going_on == [64, 80, 96, 112, 127, 128]  # done when it is calibrated, too
    assert updates(second) == {8}  # the moments went on too


def test_a_restored_callback_that_was_warm_trains_on_at_once():
    env = make_env(classifier("gru"))
    first = cotraining()
    learn(make_model(env), first, rollouts=1)
    state, made = first.state(), updates(first)
    moment = first.fitter.optimizer.state_dict()["muon"]["state"][0]["momentum_buffer"].clone()
    second, seen = cotraining(epochs=0.0), []
    second.checkpoint = seen.append
    second.restore(state)
    learn(make_model(env), second, rollouts=1)
    assert seen == [] and updates(second) == made
    after = second.fitter.optimizer.state_dict()["muon"]["state"][0]["momentum_buffer"]
    assert th.equal(after, moment)


def test_a_callback_that_is_stopped_before_it_starts_keeps_what_was_restored():
    first = cotraining()
    learn(make_model(make_env(classifier("gru"))), first, rollouts=1)
    second = cotraining()
    second.restore(first.state())
    assert second.state()["optimizer"] is not None


def test_a_state_holds_no_optimiser_before_the_training():
    assert cotraining().state() == {
        "pretrained": 0,
        "pretraining_core_seconds": 0.0,
        "optimizer": None,
    }


# ---- a policy that has diverged ----


def test_a_policy_weight_that_is_no_number_stops_the_training():
    model = make_model(make_env(None, observe_classifier_features=False))
    assert model.learn(64, callback=Diverged()).num_timesteps == 64
    with th.no_grad():
        model.policy.value_net.bias[0] = float("nan")
    message = r"training diverged: weight value_net\.bias .* is not finite at 64 timesteps"
    with pytest.raises(ValueError, match=message):
        model.learn(64, callback=Diverged(), reset_num_timesteps=False)
    assert model.num_timesteps == 64


def test_a_policy_that_diverges_in_its_last_update_is_noticed_too():
    model = make_model(make_env(None, observe_classifier_features=False))
    model.batch_size = LANES * STEPS  # one update, after which nothing is computed any more

    def spoil(model: BaseAlgorithm) -> None:
        with th.no_grad():
            model.policy.value_net.bias[0] = float("nan")

    with pytest.raises(ValueError, match="training diverged"):
        model.learn(LANES * STEPS, callback=[Diverged(), Spy(end=spoil)])
