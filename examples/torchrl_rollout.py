"""Glimpse environments in TorchRL: a rollout of one, and PPO on a vector of them.

  pip install -e ".[torchrl]"
  python examples/torchrl_rollout.py --total-timesteps 200000

Make the environment with Gymnasium and wrap it: ``GymEnv(id)`` adds an argument ``frameskip``,
which these environments refuse. In a vector TorchRL 0.14 leaves zeros in the place of an episode's
last observation if observations are a Dict (with Gymnasium's own vectors, too); episodes are never
truncated, so nothing is estimated from it.
"""

from __future__ import annotations

import argparse
import sys

import gymnasium
import torch as th
from torch import nn

import glimpse_envs  # noqa: F401  # registers the environments

try:
    from tensordict.nn import TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.envs import EnvBase, GymWrapper
    from torchrl.envs.utils import check_env_specs
    from torchrl.modules import ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE
except ImportError as error:
    sys.exit(f'error: {error}; pip install -e ".[torchrl]"')

NUM_ENVS, N_STEPS, N_EPOCHS, BATCH = 64, 32, 4, 512
PARTS = ("glimpse", "gaze", "remaining", "map")  # of the observation of GreedyMap


class Network(nn.Module):
    """A network on the joined parts of a Dict observation."""

    def __init__(self, env: EnvBase, n_outputs: int) -> None:
        super().__init__()
        batch = len(env.batch_size)
        self.ndims = {key: len(env.observation_spec[key].shape) - batch for key in PARTS}
        self.layers = nn.Sequential(
            nn.LazyLinear(128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, n_outputs)
        )

    def forward(self, *parts: th.Tensor) -> th.Tensor:
        """Return the outputs for the observation's parts in the order of ``PARTS``."""
        rows = [
            part.flatten(part.ndim - self.ndims[key]).float() / (255 if key == "glimpse" else 1)
            for key, part in zip(PARTS, parts, strict=True)
        ]
        return self.layers(th.cat(rows, dim=-1))


def task() -> dict:
    """Arguments of the environment: what a small network learns from reward alone."""
    return {"scene": "Plain", "start": "random", "budget": 6}


def make_vector(num_envs: int, seed: int) -> EnvBase:
    envs = gymnasium.make_vec("GlimpseDigits-GreedyMap-v0", num_envs=num_envs, **task())
    wrapped = GymWrapper(envs, categorical_action_encoding=True)
    wrapped.set_seed(seed)
    return wrapped


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--total-timesteps", type=int, default=200_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    th.manual_seed(args.seed)
    th.set_num_threads(1)

    single = GymWrapper(gymnasium.make("GlimpseDigits-GreedyMap-v0", **task()))
    check_env_specs(single, seed=args.seed)
    episode = single.rollout(10)  # ends with the episode
    print(f"one episode: {len(episode)} steps, reward {episode['next', 'reward'].sum():.0f}")

    env = make_vector(NUM_ENVS, args.seed)
    n_actions = env.full_action_spec_unbatched["action"].n
    logits = TensorDictModule(Network(env, n_actions), list(PARTS), ["logits"])
    actor = ProbabilisticActor(
        logits, in_keys=["logits"], spec=env.full_action_spec_unbatched["action"],
        distribution_class=th.distributions.Categorical, return_log_prob=True,
    )  # fmt: skip
    critic = ValueOperator(Network(env, 1), in_keys=list(PARTS))
    first = env.reset()
    actor(first), critic(first)  # the first call tells the lazy layers their sizes
    with th.no_grad():  # an untrained agent looks around, or its episodes would have one glimpse
        logits.module.layers[-1].bias[6:] -= 2.0

    loss_of = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.01)
    gae = GAE(gamma=1.0, lmbda=0.95, value_network=critic)
    optimizer = th.optim.Adam(loss_of.parameters(), lr=1e-3)
    collector = Collector(
        env, actor, frames_per_batch=NUM_ENVS * N_STEPS, total_frames=args.total_timesteps,
        auto_register_policy_transforms=False,  # nothing here is recurrent
    )  # fmt: skip
    n_batches = max(1, args.total_timesteps // (NUM_ENVS * N_STEPS))
    for k, batch in enumerate(collector):
        with th.no_grad():
            gae(batch)
        rows = batch.reshape(-1)
        for _ in range(N_EPOCHS):
            for index in th.randperm(len(rows)).split(BATCH):
                losses = loss_of(rows[index])
                loss = sum(value for name, value in losses.items() if name.startswith("loss_"))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(loss_of.parameters(), 0.5)
                optimizer.step()
        if k % max(1, n_batches // 8) == 0 or k == n_batches - 1:
            ended = batch["next", "done"].squeeze(-1)
            right = batch["next", "reward"].squeeze(-1)[ended].mean()
            print(
                f"{(k + 1) * len(rows):>9,} steps  accuracy {right:.3f}  "
                f"steps an episode {ended.numel() / ended.sum():.2f}",
                flush=True,
            )
    collector.shutdown()


if __name__ == "__main__":
    main()
