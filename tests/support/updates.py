"""What an update finds before its first step, beside what the rollout stored."""

import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback


def assert_ratios_are_one(
    model: BaseAlgorithm, callback: MaybeCallback = None, tolerance: float = 1e-5
) -> None:
    """Stored values and log-probabilities are those of an update, padding aside."""
    _, callback = model._setup_learn(4 * model.n_steps * model.n_envs, callback)
    callback.on_training_start(locals(), globals())
    recurrent = isinstance(model, RecurrentPPO)
    for _ in range(2):  # the second begins within episodes
        model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
        model.policy.set_training_mode(True)
        n_rows = 0
        for batch in model.rollout_buffer.get(model.batch_size):
            memory = (batch.lstm_states, batch.episode_starts) if recurrent else ()
            actions = batch.actions
            if model.action_space.shape == ():
                actions = actions.long().flatten()
            with th.no_grad():
                values, log_prob, entropy = model.policy.evaluate_actions(
                    batch.observations, actions, *memory
                )
            real = batch.mask > 0 if recurrent else th.ones(len(log_prob), dtype=th.bool)
            n_rows += int(real.sum())
            stored = batch.old_log_prob[real], batch.old_values[real]
            got = log_prob[real], values.flatten()[real]
            th.testing.assert_close(got, stored, atol=tolerance, rtol=tolerance)
            assert entropy[real].isfinite().all()
        assert n_rows == model.n_steps * model.n_envs
