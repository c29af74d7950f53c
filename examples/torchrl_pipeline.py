"""The whole pipeline in TorchRL: a saccader by its PPO, and the classifier beside it.

  pip install -e ".[torchrl]"
  python examples/torchrl_pipeline.py                    # cluttered digits, without a download
  python examples/torchrl_pipeline.py --env GlimpseMNIST-Saccade-v0

A saccader decides where to crop next, a classifier reads the crops, and the reward is how much
surer each makes it. The classifier is trained on random gaze first and beside the saccader then.
The settings are those of `glimpse_lab/hyperparams/saccades_by_reward/ppo.yml`.

Make the environment with Gymnasium and wrap it: ``GymEnv(id)`` adds an argument ``frameskip``,
which these environments refuse. In a vector TorchRL 0.14 leaves zeros in the place of an episode's
last observation if observations are a Dict (with Gymnasium's own vectors, too); episodes are never
truncated, so nothing is estimated from it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch as th
from gymnasium.vector import AutoresetMode, VectorWrapper
from torch import nn

from glimpse_envs.actions import Saccade
from glimpse_envs.core import GlimpseCore
from glimpse_envs.metrics.episodes import metrics
from glimpse_lab.evaluation.rollout import evaluate
from policies import CoTraining, FunctionAgent, GlimpseExtractor

try:
    from tensordict import TensorDict, TensorDictBase
    from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
    from torchrl.collectors import Collector
    from torchrl.envs import GymWrapper
    from torchrl.modules import ActorValueOperator, IndependentNormal, ProbabilisticActor
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE
except ImportError as error:
    sys.exit(f'error: {error}; pip install -e ".[torchrl]"')

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


class Lanes(VectorWrapper):
    """A vector for TorchRL, with actions clipped to their space.

    When all lanes end in the same step, as they do here, TorchRL 0.14 resets the vector, whose
    lanes have been reset in that step: the episodes that have just begun stay.
    """

    autoreset_mode = AutoresetMode.SAME_STEP  # which TorchRL asks the outermost wrapper for

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every lane, unless all have just begun one."""
        core = self.unwrapped.core
        if seed is None and (core.n_glimpses == 1).all():
            return core.observation(), {}
        return super().reset(seed=seed, options=options)

    def step(self, actions: np.ndarray) -> tuple[Any, ...]:
        """Carry out one action of every lane, float32 (num_envs, 2)."""
        return super().step(np.clip(actions, -1.0, 1.0))


class ReadAnew(TensorDictModuleBase):
    """Puts what the classifier reads now in the place of what it read before its update."""

    in_keys, out_keys = ["belief"], ["belief", "classifier_features"]

    def __init__(self, core: GlimpseCore) -> None:
        super().__init__()
        self.core = core

    def forward(self, rows: TensorDictBase) -> TensorDictBase:
        """Change the observations that the agent is about to act on."""
        rows["belief"] = th.as_tensor(self.core.belief.copy())
        rows["classifier_features"] = th.as_tensor(self.core.hidden.copy())
        return rows


class Code(nn.Module):
    """What the crop shows, where it is and what the classifier makes of it."""

    def __init__(self, observation: gymnasium.spaces.Dict) -> None:
        super().__init__()
        self.keys = list(observation)
        self.extractor = GlimpseExtractor(observation, encoder="mlp", normalize_images=False)
        self.bypass = self.extractor.bypass  # columns that tell, too, how sure the belief is

    def forward(self, *parts: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """Return the code and how sure the belief is, (..., n) each, for any batch (...)."""
        rows = dict(zip(self.keys, parts, strict=True))
        batch = rows["gaze"].shape[:-1]  # lanes, and with GAE lanes and time
        flat = {key: part.flatten(0, len(batch) - 1) for key, part in rows.items()}
        code, bypass = self.bypass.split(self.extractor(flat))
        return code.unflatten(0, batch), self.bypass.summary(bypass).unflatten(0, batch)


class Critic(nn.Module):
    """The value of what was seen."""

    def __init__(self, n_code: int, n_sure: int) -> None:
        super().__init__()
        self.hidden, self.value = hidden(n_code), nn.Linear(64 + n_sure, 1)

    def forward(self, code: th.Tensor, sure: th.Tensor) -> th.Tensor:
        """Return it, (..., 1), for a code and how sure the belief is, (..., n) each."""
        return self.value(th.cat([self.hidden(code), sure], dim=-1))


def hidden(n_inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())


def make_agent(observation: gymnasium.spaces.Dict) -> ActorValueOperator:
    """Return actor and critic, which share the code."""
    code = Code(observation)
    n_code = code.extractor.features_dim - code.bypass.dim
    actor = nn.Sequential(hidden(n_code), nn.Linear(64, 2))
    critic = Critic(n_code, code.bypass.summary_dim)
    for layer in nn.ModuleList([code, actor, critic]).modules():
        if isinstance(layer, nn.Linear):
            last = layer is actor[-1] or layer is critic.value
            nn.init.orthogonal_(layer.weight, 1.0 if last else 2**0.5)
            nn.init.zeros_(layer.bias)
    normal = {"distribution_class": IndependentNormal, "distribution_kwargs": {"scale": DEVIATION}}
    mean = TensorDictModule(actor, ["code"], ["loc"])
    return ActorValueOperator(
        TensorDictModule(code, code.keys, ["code", "sure"]),
        ProbabilisticActor(mean, ["loc"], return_log_prob=True, **normal),
        TensorDictModule(critic, ["code", "sure"], ["state_value"]),
    )


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
    envs = gymnasium.make_vec(args.env, num_envs=N_ENVS, **parts)
    core, config = envs.unwrapped.core, envs.unwrapped.config
    if not isinstance(config.scheme, Saccade):
        raise SystemExit(f"error: got --env {args.env}; wanted an id with Saccade or RAM")
    agent = make_agent(config.observation_space)
    policy, critic = agent.get_policy_operator(), agent.get_value_operator()

    def act(observation: dict[str, np.ndarray]) -> np.ndarray:
        with th.inference_mode():
            return policy(TensorDict(observation, len(observation["gaze"])))["loc"].numpy()

    player = FunctionAgent(act, config)
    env = GymWrapper(Lanes(envs))
    env.set_seed(args.seed)
    steps = N_STEPS * N_ENVS
    n_updates = max(1, math.ceil(args.total_timesteps / steps))
    cotraining = CoTraining(**{**COTRAINING, "pretraining": args.pretraining})
    cotraining.begin([core], seed=args.seed, total_timesteps=n_updates * steps)

    collector = Collector(
        env, TensorDictSequential(ReadAnew(core), policy), frames_per_batch=steps,
        total_frames=n_updates * steps, auto_register_policy_transforms=False,
    )  # fmt: skip
    gae = GAE(gamma=GAMMA, lmbda=LAMBDA, value_network=critic)
    loss_of = ClipPPOLoss(
        policy, critic, clip_epsilon=CLIP, entropy_bonus=False, critic_coeff=VALUE,
        loss_critic_type="l2", normalize_advantage=True,
    )  # fmt: skip
    optimizer = th.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)
    begin = time.perf_counter()
    for k, batch in enumerate(collector):
        with th.no_grad():
            gae(batch)
        done = (k + 1) * steps
        cotraining.update(done, player)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - (k + 1) / n_updates)
        rows = batch.reshape(-1)
        for _ in range(N_EPOCHS):
            for index in th.randperm(steps).split(BATCH):
                losses = loss_of(rows[index])
                optimizer.zero_grad()
                (losses["loss_objective"] + losses["loss_critic"]).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
                optimizer.step()
        if k % max(1, n_updates // 20) == 0 or k == n_updates - 1:
            reward, speed = batch["next", "reward"].mean(), done / (time.perf_counter() - begin)
            print(f"{done:>9,} steps  reward {reward:.4f}  {speed:,.0f} steps/s", flush=True)
    collector.shutdown()
    cotraining.end()

    shown = replace(config, split="test")
    for name, random_gaze in (("learned gaze", False), ("random gaze", True)):
        found = metrics(evaluate(player, shown, random_gaze=random_gaze, seed=args.seed))
        low, high = found.accuracy_ci95
        print(f"{name}: {found.accuracy:.2%} ({low:.2%} to {high:.2%}) of the test images")


if __name__ == "__main__":
    main()
