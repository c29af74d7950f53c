"""Minibatches of one row, whose advantage cannot be normalised."""

from __future__ import annotations

from typing import Any

import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO


def check_minibatches(model: Any) -> None:
    """Check that an algorithm of SB3 gets no minibatch of one row.

    The deviation of one advantage is no number: with RecurrentPPO no weight is one after the
    update, and PPO leaves this one advantage as it is, out of scale with the others.

    :param model: an algorithm; one without minibatches of rollouts is passed over
    :raises ValueError: if there is a minibatch of one row, whose advantage is to be normalised
    """
    if not isinstance(model, PPO | RecurrentPPO) or not model.normalize_advantage:
        return
    check_rows(model.n_steps, model.n_envs, model.batch_size)


def check_rows(n_steps: int, n_envs: int, batch_size: int) -> None:
    """Check that batches leave no single row of a rollout over.

    :raises ValueError: if they do
    """
    rows = n_steps * n_envs
    if batch_size == 1 or rows % batch_size == 1:
        raise ValueError(
            f"got batch_size={batch_size} for {rows} rows (n_steps={n_steps} times n_envs="
            f"{n_envs}), which leaves a minibatch of one row over, whose advantage cannot be "
            "normalised; choose another batch_size, one that divides the rows"
        )


def refuse_undefined_gradient(log_prob: th.Tensor) -> None:
    """Raise a ValueError in the backward pass of one row, if its advantage is no number.

    :param log_prob: float32 (B,), of the actions of a minibatch; B > 1 is passed over
    """
    if len(log_prob) > 1 or not log_prob.requires_grad:
        return

    def check(gradient: th.Tensor) -> None:
        if not th.isfinite(gradient).all():
            raise ValueError(
                "got a minibatch of one row, whose advantage cannot be normalised; choose a "
                "batch_size that divides n_steps times n_envs, or normalize_advantage=False"
            )

    log_prob.register_hook(check)
