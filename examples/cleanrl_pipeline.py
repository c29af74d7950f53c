"""The whole pipeline in one file, in the manner of CleanRL: a saccader by PPO, and its classifier.

  python examples/cleanrl_pipeline.py                    # cluttered digits, without a download
  python examples/cleanrl_pipeline.py --env GlimpseMNIST-Saccade-v0

A saccader decides where to crop next, a classifier reads the crops, and the reward is how much
surer each makes it. The classifier is trained on random gaze first and beside the saccader then.
The settings are those of `glimpse_lab/hyperparams/saccades_by_reward/ppo.yml`.

Episodes are never truncated: the value of what follows an end is 0. A vector resets a lane in the
step that ends its episode (``AutoresetMode.SAME_STEP``), so that what ``step`` returns is already
the next episode's first observation.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace

import gymnasium
import numpy as np
import torch as th
from gymnasium.wrappers.vector import ClipAction
from torch import nn
from torch.distributions import Normal

from glimpse_envs.actions import Saccade
from glimpse_envs.metrics.episodes import metrics
from glimpse_lab.evaluation.rollout import evaluate
from policies import CoTraining, FunctionAgent, GlimpseExtractor

ENV = {
    "augment": {"type": "ShiftFlip", "shift": 2},
    "observe_classifier_features": True,
    "reward": "UncertaintyReduction",
}
CLASSIFIER = {"type": "canvas", "width": 24}
COTRAINING = {
    "pretraining": 200_000, "gaze": "Uniform", "epochs": 2, "random_share": 0.1, "handover": 1.0,
    "learning_rate": 2e-3,
}  # fmt: skip
TIMESTEPS = 2_000_000
N_ENVS, N_STEPS, N_EPOCHS, BATCH = 256, 10, 4, 640
LEARNING_RATE, GAMMA, LAMBDA, CLIP = 5e-4, 0.7, 0.95, 0.2
VALUE, MAX_NORM, DEVIATION = 0.5, 0.5, math.exp(-1.6)


class Agent(nn.Module):
    """Actor and critic on a code of the crop, its place and what the classifier makes of it."""

    def __init__(self, observation: gymnasium.spaces.Dict, action: gymnasium.spaces.Box) -> None:
        super().__init__()
        self.extractor = GlimpseExtractor(observation, encoder="mlp", normalize_images=False)
        self.bypass = self.extractor.bypass  # columns for the critic: how sure the belief is
        n_code = self.extractor.features_dim - self.bypass.dim

        def hidden() -> nn.Sequential:
            return nn.Sequential(nn.Linear(n_code, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())

        self.actor_hidden, self.actor = hidden(), nn.Linear(64, action.shape[0])
        self.critic_hidden, self.critic = hidden(), nn.Linear(64 + self.bypass.summary_dim, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                last = layer is self.actor or layer is self.critic
                nn.init.orthogonal_(layer.weight, 1.0 if last else 2**0.5)
                nn.init.zeros_(layer.bias)

    def forward(self, observation: dict[str, th.Tensor]) -> tuple[Normal, th.Tensor]:
        """Return the distribution of fixations, (B, 2), and the value, (B,)."""
        code, bypass = self.bypass.split(self.extractor(observation))
        sure = self.bypass.summary(bypass)
        value = self.critic(th.cat([self.critic_hidden(code), sure], dim=1)).squeeze(1)
        return Normal(self.actor(self.actor_hidden(code)), DEVIATION), value

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Return the likeliest fixations, for evaluations."""
        with th.inference_mode():
            return self(tensors(observation))[0].mean.numpy()


def tensors(observation: dict[str, np.ndarray]) -> dict[str, th.Tensor]:
    return {key: th.as_tensor(rows) for key, rows in observation.items()}


def advantages(
    rewards: th.Tensor, values: th.Tensor, ended: th.Tensor, last_value: th.Tensor
) -> th.Tensor:
    """Return generalised advantage estimates; all (T, B). ``ended``: which steps end an episode."""
    result = th.zeros_like(rewards)
    following, running = last_value, th.zeros_like(last_value)
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - ended[t]
        delta = rewards[t] + GAMMA * following * goes_on - values[t]
        running = delta + GAMMA * LAMBDA * goes_on * running
        result[t], following = running, values[t]
    return result


def update(agent: Agent, optimizer: th.optim.Optimizer, batch: dict[str, th.Tensor]) -> None:
    """Learn from a rollout: rows (T B, ...) each."""
    for _ in range(N_EPOCHS):
        for index in th.randperm(len(batch["action"])).split(BATCH):
            rows = {key: values[index] for key, values in batch.items()}
            normal, value = agent(rows)
            ratio = (normal.log_prob(rows["action"]).sum(1) - rows["log_prob"]).exp()
            gain = rows["advantage"]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            policy_loss = -th.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
            value_loss = (value - rows["return"]).square().mean()
            optimizer.zero_grad()
            (policy_loss + VALUE * value_loss).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="GlimpseDigits-Saccade-v0", metavar="ID")
    parser.add_argument("--scene", help="default: the environment's own")
    parser.add_argument("--total-timesteps", type=int, default=TIMESTEPS, metavar="N")
    parser.add_argument("--pretraining", type=int, default=COTRAINING["pretraining"], metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    th.manual_seed(args.seed)
    th.set_num_threads(1)

    parts = {**ENV, "classifier": {**CLASSIFIER, "seed": args.seed}}
    parts |= {"scene": args.scene} if args.scene else {}
    envs = ClipAction(gymnasium.make_vec(args.env, num_envs=N_ENVS, **parts))
    core, config = envs.unwrapped.core, envs.unwrapped.config
    if not isinstance(config.scheme, Saccade):
        raise SystemExit(f"error: got --env {args.env}; wanted an id with Saccade or RAM")
    agent = Agent(config.observation_space, config.action_space)
    player = FunctionAgent(agent.act, config)
    optimizer = th.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)

    envs.reset(seed=args.seed)
    n_updates = max(1, math.ceil(args.total_timesteps / (N_STEPS * N_ENVS)))
    total = n_updates * N_STEPS * N_ENVS
    cotraining = CoTraining(**{**COTRAINING, "pretraining": args.pretraining})
    rows = cotraining.begin([core], seed=args.seed, total_timesteps=total)
    begin = time.perf_counter()
    for k in range(n_updates):
        steps = []
        for _ in range(N_STEPS):
            observation = tensors(rows)
            with th.no_grad():
                normal, value = agent(observation)
                action = normal.sample()
            rows, reward, terminated, _, _ = envs.step(action.numpy())
            steps.append(
                {
                    **observation, "action": action, "value": value,
                    "log_prob": normal.log_prob(action).sum(1),
                    "reward": th.as_tensor(reward, dtype=th.float32),
                    "ended": th.as_tensor(terminated, dtype=th.float32),
                }
            )  # fmt: skip
        with th.no_grad():
            last_value = agent(tensors(rows))[1]
        batch = {key: th.stack([step[key] for step in steps]) for key in steps[0]}
        batch["advantage"] = advantages(batch["reward"], batch["value"], batch["ended"], last_value)
        batch["return"] = batch["advantage"] + batch["value"]

        done = (k + 1) * N_STEPS * N_ENVS
        rows = cotraining.update(done, player)  # read by the classifier as it is now
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - (k + 1) / n_updates)
        update(agent, optimizer, {key: part.flatten(0, 1) for key, part in batch.items()})
        if k % max(1, n_updates // 20) == 0 or k == n_updates - 1:
            reward, speed = batch["reward"].mean(), done / (time.perf_counter() - begin)
            print(f"{done:>9,} steps  reward {reward:.4f}  {speed:,.0f} steps/s", flush=True)
    cotraining.end()
    envs.close()

    shown = replace(config, split="test")
    for name, random_gaze in (("learned gaze", False), ("random gaze", True)):
        found = metrics(evaluate(player, shown, random_gaze=random_gaze, seed=args.seed))
        low, high = found.accuracy_ci95
        print(f"{name}: {found.accuracy:.2%} ({low:.2%} to {high:.2%}) of the test images")


if __name__ == "__main__":
    main()
