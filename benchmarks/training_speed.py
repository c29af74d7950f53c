"""Timesteps per second of RecurrentPPO: stock against packed sequences, in one run.

    python benchmarks/training_speed.py [--repeats 5] [--encoder mlp]

Both train the same networks on the digits task: once with the buffer and the loop over time of
sb3-contrib, once with ``PackedSequences`` and ``GlimpseLstmPolicy``. The repeats are interleaved;
the ratio is the median of theirs, so that it holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch as th
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from glimpse_envs.sb3 import GlimpseVecEnv
from policies import GlimpseLstmPolicy, PackedSequences

ENV_ID = "GlimpseDigits-MultiCat-v0"
N_ENVS, N_STEPS = 64, 32


class StockLoop(GlimpseLstmPolicy):
    """The same policy with sb3-contrib's own loop over time."""

    def _process_sequence(
        self,
        features: th.Tensor,
        lstm_states: tuple[th.Tensor, ...],
        episode_starts: th.Tensor,
        lstm: nn.LSTM,
    ) -> tuple[th.Tensor, tuple[th.Tensor, ...]]:
        encoded, bypass = self.bypass.split(features)
        output, states = RecurrentActorCriticPolicy._process_sequence(
            encoded, lstm_states, episode_starts, lstm
        )
        return th.cat([output, bypass], dim=1), states


def make_model(policy: type[GlimpseLstmPolicy], encoder: str, stop: float) -> RecurrentPPO:
    """Return an untrained model that stops an episode with the given probability a step."""
    return RecurrentPPO(
        policy,
        GlimpseVecEnv(ENV_ID, N_ENVS, seed=0),
        n_steps=N_STEPS,
        batch_size=512,
        n_epochs=4,
        learning_rate=0.0,  # the lengths of the episodes stay as they are
        seed=0,
        policy_kwargs={
            "lstm_hidden_size": 128,
            "shared_lstm": True,
            "enable_critic_lstm": False,
            "initial_stop_probability": stop,
            "features_extractor_kwargs": {"encoder": encoder},
        },
    )


def speed(model: RecurrentPPO, callback: list[BaseCallback], iterations: int = 2) -> float:
    """Return timesteps per second of rollouts and updates."""
    begin = time.perf_counter()
    model.learn(iterations * N_ENVS * N_STEPS, callback=callback)
    return iterations * N_ENVS * N_STEPS / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoder", choices=("mlp", "cnn"), default="mlp")
    args = parser.parse_args()
    th.set_num_threads(1)
    print("P(stop)  stock steps/s  packed steps/s  ratio (median of pairs)")
    for stop in (0.1, 0.3, 0.6):
        stock = make_model(StockLoop, args.encoder, stop)
        packed = make_model(GlimpseLstmPolicy, args.encoder, stop)
        speed(stock, [])  # the first calls take longer
        speed(packed, [PackedSequences()])
        pairs = [
            (speed(stock, []), speed(packed, [PackedSequences()])) for _ in range(args.repeats)
        ]
        before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(fast / slow for slow, fast in pairs)
        print(f"{stop:7.1f}  {before:13,.0f}  {after:14,.0f}  {ratio:5.2f}")


if __name__ == "__main__":
    main()
