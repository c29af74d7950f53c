"""PPO in one file, in the manner of CleanRL, without Stable-Baselines3.

  python examples/cleanrl_ppo.py
  python examples/cleanrl_ppo.py --env GlimpseMNIST-MultiCat-v0 --total-timesteps 1000000

The agent learns from reward alone, so the digit is shown plainly, without the clutter of the
registered task, and the first glimpse is a close glimpse at a random place, so that there is
something to look for. Two things are particular to glimpse environments: observations are a Dict,
and a vector resets a lane in the step that ends its episode (``AutoresetMode.SAME_STEP``), so that
what ``step`` returns is already the next episode's first observation. Episodes are never truncated:
the value of what follows an end is 0, and ``final_obs`` is not needed.
"""

from __future__ import annotations

import argparse
import time

import gymnasium
import numpy as np
import torch as th
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Categorical

import glimpse_envs  # noqa: F401  # registers the environments

N_STEPS, N_EPOCHS, BATCH = 16, 4, 1024
GAMMA, LAMBDA, CLIP = 1.0, 0.95, 0.2
ENTROPY, VALUE, MAX_NORM = 0.01, 0.5, 0.5


class Agent(nn.Module):
    """Actor and critic on the glimpses so far, which stand in for a memory."""

    def __init__(
        self, observation: gymnasium.spaces.Dict, action: gymnasium.spaces.MultiDiscrete
    ) -> None:
        super().__init__()
        n_inputs = sum(int(np.prod(space.shape)) for space in observation.values())
        self.parts = [int(n) for n in action.nvec]

        def network(n_outputs: int, gain: float) -> nn.Sequential:
            layers = [nn.Linear(n_inputs, 256), nn.Linear(256, 128), nn.Linear(128, n_outputs)]
            for layer, scale in zip(layers, (2**0.5, 2**0.5, gain), strict=True):
                nn.init.orthogonal_(layer.weight, scale)
                nn.init.zeros_(layer.bias)
            return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])

        self.actor, self.critic = network(sum(self.parts), 0.01), network(1, 1.0)
        with th.no_grad():  # an untrained agent goes on, or its episodes would have one glimpse
            self.actor[-1].bias[sum(self.parts[:-1])] = 4.0

    def heads(self, observation: th.Tensor) -> list[Categorical]:
        """One categorical distribution for each part of the action: move, zoom, decision."""
        logits = self.actor(observation).split(self.parts, dim=-1)
        return [Categorical(logits=part) for part in logits]

    def evaluate(self, observation: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, ...]:
        """Log-probability, entropy and value: (B,) each, of actions int64 (B, parts)."""
        heads = self.heads(observation)
        log_prob = sum(head.log_prob(part) for head, part in zip(heads, actions.T, strict=True))
        entropy = sum(head.entropy() for head in heads)
        return log_prob, entropy, self.critic(observation).squeeze(-1)


def flatten(observation: dict[str, np.ndarray]) -> th.Tensor:
    """Join the parts of a batched Dict observation: float32 (num_envs, features), images / 255."""
    rows = [
        (part / np.float32(255) if part.dtype == np.uint8 else part).reshape(len(part), -1)
        for part in observation.values()
    ]
    return th.as_tensor(np.concatenate(rows, axis=1, dtype=np.float32))


def advantages(
    rewards: th.Tensor, values: th.Tensor, ended: th.Tensor, last_value: th.Tensor
) -> th.Tensor:
    """Return advantages by generalised advantage estimation, and returns; all (T, B).

    ``ended`` tells which steps ended an episode.
    """
    result = th.zeros_like(rewards)
    following, running = last_value, th.zeros_like(last_value)
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - ended[t]
        delta = rewards[t] + GAMMA * following * goes_on - values[t]
        running = delta + GAMMA * LAMBDA * goes_on * running
        result[t], following = running, values[t]
    return result


def update(agent: Agent, optimizer: th.optim.Optimizer, batch: dict[str, th.Tensor]) -> None:
    n = len(batch["observation"])
    for _ in range(N_EPOCHS):
        for index in th.randperm(n).split(BATCH):
            rows = {key: values[index] for key, values in batch.items()}
            log_prob, entropy, value = agent.evaluate(rows["observation"], rows["action"])
            ratio = (log_prob - rows["log_prob"]).exp()
            gain = rows["advantage"]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            policy_loss = -th.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
            value_loss = (value - rows["return"]).square().mean()
            loss = policy_loss + VALUE * value_loss - ENTROPY * entropy.mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="GlimpseDigits-MultiCat-v0", metavar="ID")
    parser.add_argument("--scene", default="Plain", help="default: %(default)s")
    parser.add_argument("--total-timesteps", type=int, default=500_000, metavar="N")
    parser.add_argument("--num-envs", type=int, default=128, metavar="N")
    parser.add_argument("--learning-rate", type=float, default=1e-3, metavar="X")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    th.manual_seed(args.seed)
    th.set_num_threads(1)

    cost = {"type": "GlimpseCost", "cost": 0.005}
    envs = gymnasium.make_vec(
        args.env,
        num_envs=args.num_envs,
        scene=args.scene,
        start="random",
        budget=4,
        observe_history=True,  # all glimpses so far: the agent needs no memory of its own
        reward={"type": "Sum", "terms": ["Terminal", cost]},
    )
    if not isinstance(envs.single_action_space, gymnasium.spaces.MultiDiscrete):
        raise SystemExit(f"error: {args.env} acts in {envs.single_action_space}; choose a MultiCat")
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    agent = Agent(envs.single_observation_space, envs.single_action_space)
    optimizer = th.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)

    rows, _ = envs.reset(seed=args.seed)
    observation = flatten(rows)
    shape = (N_STEPS, args.num_envs)
    n_updates = max(1, args.total_timesteps // (N_STEPS * args.num_envs))
    begin, right, glimpses = time.perf_counter(), [], []
    for k in range(n_updates):
        optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - k / n_updates)
        observations = th.zeros(*shape, observation.shape[1])
        actions = th.zeros(*shape, len(agent.parts), dtype=th.int64)
        log_probs, values, rewards, ended = (th.zeros(shape) for _ in range(4))
        for t in range(N_STEPS):
            observations[t] = observation
            with th.no_grad():
                actions[t] = th.stack([h.sample() for h in agent.heads(observation)], dim=1)
                log_probs[t], _, values[t] = agent.evaluate(observation, actions[t])
            rows, reward, terminated, truncated, infos = envs.step(actions[t].numpy())
            assert not truncated.any()
            rewards[t], ended[t] = th.as_tensor(reward), th.as_tensor(terminated)
            if terminated.any():  # this episode's end; ``rows`` begin the next one already
                right.append(infos["final_info"]["is_success"][terminated])
                glimpses.append(infos["final_info"]["n_glimpses"][terminated])
            observation = flatten(rows)
        with th.no_grad():
            last_value = agent.critic(observation).squeeze(-1)
        advantage = advantages(rewards, values, ended, last_value)
        batch = {
            "observation": observations, "action": actions, "log_prob": log_probs,
            "advantage": advantage, "return": advantage + values,
        }  # fmt: skip
        update(agent, optimizer, {key: part.flatten(0, 1) for key, part in batch.items()})
        if k % max(1, n_updates // 10) == 0 or k == n_updates - 1:
            done, seconds = (k + 1) * N_STEPS * args.num_envs, time.perf_counter() - begin
            accuracy, looks = np.concatenate(right).mean(), np.concatenate(glimpses).mean()
            print(
                f"{done:>9,} steps  accuracy {accuracy:.3f}  glimpses {looks:.2f}  "
                f"{done / seconds:,.0f} steps/s",
                flush=True,
            )
            right, glimpses = [], []
    envs.close()


if __name__ == "__main__":
    main()
