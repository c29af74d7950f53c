"""Stage one: both branches learn types and parameters from the rewards of many tried actions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch.nn.attention import SDPBackend, sdpa_kernel

from glimpse_envs.inverse.core import InverseCore
from policies.classifier.trainer import native_bfloat16
from policies.inverse.instructed import InstructedPolicy
from policies.inverse.losses import (
    TYPE_REWARDS,
    advantages,
    enumeration_loss,
    pseudo_targets,
    symmetry_loss,
    type_loss,
)
from policies.inverse.policy import Branches, SiamesePolicy
from policies.optimizers import MuonAdamW
from policies.ranges import checks_arguments


class ActionEnumeration(BaseAlgorithm):
    """Learn which action leads from one image to another by trying all types in every state.

    In each state M parameters of each of the K types are drawn from the policy, and the simulation
    tells what all K M actions would earn, in both directions. The type is learnt from the one that
    earned most, the parameters by the policy gradient over all types, and both branches are held
    to be each other's inverse, see :mod:`policies.inverse.losses`. The true action is never used.
    Then the policy takes an action of its own, by which it gets to the next state: the next pair
    of images, or with ``max_steps`` above 1 the canvas on its way to the target.

    Source: Dyachkov, Levin and Kudashov, "Siamese visual transformer with cross-attention for
    inverse action modelling in a visual environment" (cross-entropy to a pseudo-target of the
    reward, Monte Carlo policy gradient with action enumeration, symmetry of the branches).

    :param policy: :class:`~policies.inverse.policy.SiamesePolicy` or one below it
    :param env: inverse environments; the lanes are the states of an update
    :param learning_rate: of :class:`~policies.optimizers.MuonAdamW`, a number or a schedule
    :param n_parameters: number M
    :param type_reward: what of a type's M rewards makes the pseudo-target, "best" or "mean"
    :param std: first and last deviation of the parameters that are drawn, normalised; None to learn
        it by the policy gradient, which narrows it before slow parameters are found
    :param std_held: share of the training with the first deviation, before it falls in equal ratios
    :param type_coef: weight of the cross-entropy to the pseudo-target; 0 leaves it out
    :param parameter_coef: weight of the policy gradient
    :param symmetry_coef: weight of the symmetry of the branches
    :param weight_decay: of matrices
    :param max_grad_norm: of all gradients together
    :param bfloat16: compute the networks so where the processor does natively
    :param seed: of weights, images and draws
    :param device: PyTorch device
    :param verbose: as for SB3's algorithms
    :param tensorboard_log: as for SB3's algorithms
    :param policy_kwargs: of the policy
    :param stats_window_size: episodes that are averaged for the log
    """

    policy_aliases: ClassVar[dict[str, type]] = {
        "SiamesePolicy": SiamesePolicy,
        "InstructedPolicy": InstructedPolicy,
    }
    policy: SiamesePolicy

    @checks_arguments
    def __init__(
        self,
        policy: str | type[SiamesePolicy],
        env: GymEnv,
        learning_rate: float | Schedule = 1e-3,
        n_parameters: int = 8,
        type_reward: str = "best",
        std: list[float] | tuple[float, ...] | None = (0.5, 0.05),
        std_held: float = 0.5,
        type_coef: float = 1.0,
        parameter_coef: float = 10.0,
        symmetry_coef: float = 1.0,
        weight_decay: float = 0.05,
        max_grad_norm: float = 1.0,
        bfloat16: bool = True,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        if type_reward not in TYPE_REWARDS:
            raise ValueError(f"got type_reward={type_reward!r}; wanted one of {TYPE_REWARDS}")
        if n_parameters < 2:
            raise ValueError(f"got n_parameters={n_parameters}; wanted at least 2, for a baseline")
        if std is not None and (len(std) != 2 or min(std) <= 0.0):
            raise ValueError(f"got std={std}; wanted first and last deviation, above 0, or None")
        if not 0.0 <= std_held < 1.0:
            raise ValueError(f"got std_held={std_held}; wanted a share in [0, 1)")
        optimizer = {
            "optimizer_class": MuonAdamW,
            "optimizer_kwargs": {"weight_decay": weight_decay},
        }
        super().__init__(
            policy,
            env,
            learning_rate,
            policy_kwargs={**optimizer, **(policy_kwargs or {})},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
        )
        self.n_parameters, self.type_reward = n_parameters, type_reward
        self.std = None if std is None else tuple(std)
        self.std_held = std_held
        self.type_coef, self.parameter_coef = type_coef, parameter_coef
        self.symmetry_coef, self.max_grad_norm = symmetry_coef, max_grad_norm
        self.weight_decay, self.bfloat16 = weight_decay, bfloat16
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)
        # its weights are in the policy now: a saved model does not need the file
        self.policy_kwargs.pop("visual", None)
        if not isinstance(self.policy, SiamesePolicy):
            raise ValueError(
                f"got {type(self.policy).__name__}; wanted SiamesePolicy or a policy below it"
            )

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 10,
        tb_log_name: str = "ActionEnumeration",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> ActionEnumeration:
        """Learn from as many states, an update for each step of all lanes.

        :raises ValueError: for environments that cannot tell what other actions would earn
        """
        core = core_of(self.env)
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        iteration, going_on = 0, True
        while going_on and self.num_timesteps < total_timesteps:
            callback.on_rollout_start()
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            self._set_std()
            branches = self._look()
            self.train(branches, core)
            going_on = self._act(branches, callback)
            callback.on_rollout_end()
            iteration += 1
            if log_interval and iteration % log_interval == 0:
                self._log(iteration)
        callback.on_training_end()
        return self

    def _look(self) -> Branches:
        """Return what the branches say of the states in which the lanes are, with gradients."""
        self.policy.set_training_mode(True)
        observations = obs_as_tensor(self._last_obs, self.device)
        with self._fast():
            branches = self.policy.branches(observations)
        return Branches(*(part.float() for part in branches))

    def train(self, branches: Branches, core: InverseCore) -> None:
        """Make one update.

        :param branches: what they say of the states in which the lanes are, with gradients
        :param core: the lanes
        """
        self._update_learning_rate(self.policy.optimizer)
        terms = self.losses(branches, core)
        loss = sum(weight * value for weight, value in terms.values())
        self.policy.optimizer.zero_grad()
        loss.backward()
        th.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        for name, (_, value) in terms.items():
            self.logger.record_mean(f"train/{name}_loss", value.item())

    def losses(self, branches: Branches, core: InverseCore) -> dict[str, tuple[float, th.Tensor]]:
        """Return the terms of the loss by name, each with its weight.

        :param branches: what both say of the states of the lanes
        :param core: the lanes
        """
        drawn = self._draw(branches.means)
        rewards = self._try_out(core, drawn)
        terms: dict[str, tuple[float, th.Tensor]] = {}
        if self.type_coef:
            targets = pseudo_targets(rewards, self.type_reward)
            terms["type"] = self.type_coef, type_loss(branches.logits, targets)
        if self.parameter_coef:
            gradient = enumeration_loss(
                branches.means, self.policy.log_std, drawn, advantages(rewards)
            )
            terms["parameter"] = self.parameter_coef, gradient
        if self.symmetry_coef and len(branches.means) == 2:
            terms["symmetry"] = self.symmetry_coef, symmetry_loss(*branches)
        best = rewards.amax(dim=(-2, -1)).mean()
        self.logger.record_mean("train/best_reward", best.item())
        self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        return terms

    def _draw(self, means: th.Tensor) -> th.Tensor:
        """Return M parameters of each type, float32 (S, B, K, M), without gradient."""
        std = self.policy.log_std.detach().exp()[:, None]
        noise = th.randn(*means.shape, self.n_parameters, device=means.device)
        return means.detach()[..., None] + std * noise

    def _try_out(self, core: InverseCore, drawn: th.Tensor) -> th.Tensor:
        """Return what actions would earn, float32 (S, B, K, M): there, and back where S is 2.

        :param drawn: float32 (S, B, K, M)
        """
        _, n_lanes, n_types, n_each = drawn.shape
        types = np.broadcast_to(np.arange(n_types).repeat(n_each), (n_lanes, n_types * n_each))
        tried = drawn.clamp(-1.0, 1.0).flatten(2).cpu().numpy()
        rewards = [
            core.score(types, part, reverse=bool(way), device=self.device)
            for way, part in enumerate(tried)
        ]
        return th.as_tensor(np.stack(rewards), device=drawn.device).view(drawn.shape)

    @contextmanager
    def _fast(self) -> Iterator[None]:
        """Compute in bfloat16 where the processor does so natively."""
        device = self.device.type
        if not (self.bfloat16 and native_bfloat16(self.device)):
            yield
            return
        # PyTorch's fused attention is slow backwards in bfloat16 on CPUs
        plain = sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()
        with th.autocast(device, dtype=th.bfloat16), plain:
            yield

    def _set_std(self) -> None:
        """Let the deviations fall as training goes on."""
        if self.std is None:
            return
        first, last = np.log(self.std)
        left = min(1.0, self._current_progress_remaining / max(1e-9, 1.0 - self.std_held))
        log_std = last + (first - last) * left
        if self._num_timesteps_at_start:  # a training that is extended goes on as narrow as it was
            log_std = min(log_std, self.policy.log_std.max().item())
        with th.no_grad():
            self.policy.log_std.fill_(log_std)
        self.policy.log_std.requires_grad_(False)

    def _act(self, branches: Branches, callback: BaseCallback) -> bool:
        """Take an action of the policy, as it was before the update; return whether to go on."""
        with th.no_grad():
            drawn = self.policy.distribution_of(branches).get_actions().cpu().numpy()
        actions = np.clip(drawn, self.action_space.low, self.action_space.high)
        observations, rewards, dones, infos = self.env.step(actions)
        self.num_timesteps += self.env.num_envs
        callback.update_locals({"infos": infos, "dones": dones, "rewards": rewards, "self": self})
        self._last_obs, self._last_episode_starts = observations, dones
        self._update_info_buffer(infos, dones)
        return callback.on_step()

    def _log(self, iteration: int) -> None:
        """Write a row of the log."""
        seconds = max(1e-9, (time.time_ns() - self.start_time) / 1e9)
        if self.ep_info_buffer:
            rewards = [episode["r"] for episode in self.ep_info_buffer]
            self.logger.record("rollout/ep_rew_mean", float(np.mean(rewards)))
        self.logger.record("time/iterations", iteration)
        made = self.num_timesteps - self._num_timesteps_at_start
        self.logger.record("time/fps", int(made / seconds))
        self.logger.record("time/time_elapsed", int(seconds))
        self.logger.record("time/total_timesteps", self.num_timesteps)
        self.logger.dump(step=self.num_timesteps)

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []


def core_of(env: VecEnv) -> InverseCore:
    """Return the lanes of inverse environments.

    :raises ValueError: for other environments
    """
    try:
        core = env.get_attr("core")[0]
    except AttributeError:
        core = None
    if not isinstance(core, InverseCore):
        raise ValueError(
            f"got {env}; wanted an InverseVecEnv, which can tell what other actions would earn"
        )
    return core
