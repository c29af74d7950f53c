"""Callbacks of training, in real training."""

from __future__ import annotations

import numpy as np
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import GlimpseLstmPolicy, GlimpsePolicy
from policies.callbacks import Checkpoint, EpisodeStatistics, PackedSequences, Progress
from policies.save_timer import SaveTimer


@pytest.fixture
def model() -> RecurrentPPO:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 4, seed=0)
    return RecurrentPPO(GlimpseLstmPolicy, env, n_steps=32, batch_size=64, n_epochs=1, seed=0)


def test_episode_statistics_are_the_means_over_the_rollout(model: RecurrentPPO) -> None:
    class Spy(EpisodeStatistics):
        def _on_step(self) -> bool:
            ended = np.flatnonzero(self.locals["dones"])
            seen.extend(self.locals["infos"][lane] for lane in ended)
            return super()._on_step()

    seen: list[dict] = []
    statistics = Spy()
    model.learn(128, callback=statistics)
    assert len(seen) > 5
    assert statistics.latest["accuracy"] == pytest.approx(np.mean([s["is_success"] for s in seen]))
    assert statistics.latest["n_glimpses"] == pytest.approx(
        np.mean([s["n_glimpses"] for s in seen])
    )


def test_progress_shows_timesteps_accuracy_and_glimpses(
    model: RecurrentPPO, capsys: pytest.CaptureFixture[str]
) -> None:
    statistics = EpisodeStatistics()
    model.learn(256, callback=[statistics, Progress(statistics)])
    shown = capsys.readouterr().err
    assert "accuracy 0." in shown and "glimpses" in shown and "256/256" in shown


def test_checkpoints_come_at_their_interval(model: RecurrentPPO) -> None:
    saved: list[int] = []

    def save(model: RecurrentPPO) -> None:
        saved.append(model.num_timesteps)

    model.learn(512, callback=Checkpoint(save, SaveTimer(0.0, 0.0)))
    assert saved == [0, 128, 256, 384]  # at the start, and after each update but the last
    saved.clear()
    model.learn(512, callback=Checkpoint(save, SaveTimer(1e6, 1e6)))
    assert saved == [0]  # so that there is something to resume from the start


def test_packed_sequences_need_the_recurrent_policy() -> None:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, seed=0)
    with pytest.raises(ValueError, match="wanted RecurrentPPO"):
        PPO(GlimpsePolicy, env, n_steps=8, batch_size=8).learn(16, callback=PackedSequences())
