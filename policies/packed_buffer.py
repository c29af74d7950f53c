"""Rollout buffer of RecurrentPPO that never pads."""

import numpy as np
import torch as th
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from sb3_contrib.common.recurrent.type_aliases import (
    RecurrentDictRolloutBufferSamples,
    RNNStates,
)
from stable_baselines3.common.vec_env import VecNormalize


class PackedRecurrentDictRolloutBuffer(RecurrentDictRolloutBuffer):
    """Gives minibatches of the same rows in the same order as the stock buffer, without padding.

    The stock buffer cuts a minibatch into sequences, one Python step for each, and pads them to the
    longest; episodes of an agent that learns when to stop differ much in length, so half of the
    rows that then pass through the networks may be padding. Here all arrays have one row per
    transition and ``mask`` is all ones; ``lstm_states.pi`` and ``.vf`` are triples: hidden and cell
    state at the first row of each sequence, float32 (n_layers, n_seq, hidden_size), and the indices
    of these rows, int64 (n_seq,) on the CPU. ``GlimpseLstmPolicy`` takes them.
    """

    def _get_samples(  # type: ignore[override]
        self,
        batch_inds: np.ndarray,
        env_change: np.ndarray,
        env: VecNormalize | None = None,
    ) -> RecurrentDictRolloutBufferSamples:
        """Return the minibatch, see the class.

        :param batch_inds: int (B,), rows of the minibatch
        :param env_change: (n_envs * n_steps, 1), nonzero at the first row of each environment
        :param env: unused, as in the stock buffer: observations are stored normalised
        """
        episode_starts = self.episode_starts[batch_inds].reshape(-1)
        is_first = np.logical_or(episode_starts, env_change[batch_inds].reshape(-1))
        is_first[0] = True
        starts = np.flatnonzero(is_first)
        start_inds = batch_inds[starts]
        starts_tensor = th.from_numpy(starts)

        def states_at_starts(hidden: np.ndarray, cell: np.ndarray) -> tuple[th.Tensor, ...]:
            # (n_seq, n_layers, hidden_size) -> (n_layers, n_seq, hidden_size)
            return (
                self.to_torch(hidden[start_inds].swapaxes(0, 1)).contiguous(),
                self.to_torch(cell[start_inds].swapaxes(0, 1)).contiguous(),
                starts_tensor,
            )

        def rows(array: np.ndarray) -> th.Tensor:
            # Indexing has copied already
            return self.to_torch(array[batch_inds].reshape(-1), copy=False)

        return RecurrentDictRolloutBufferSamples(
            observations={
                key: self.to_torch(array[batch_inds], copy=False)
                for key, array in self.observations.items()
            },
            actions=self.to_torch(self.actions[batch_inds], copy=False),
            old_values=rows(self.values),
            old_log_prob=rows(self.log_probs),
            advantages=rows(self.advantages),
            returns=rows(self.returns),
            lstm_states=RNNStates(
                states_at_starts(self.hidden_states_pi, self.cell_states_pi),
                states_at_starts(self.hidden_states_vf, self.cell_states_vf),
            ),
            episode_starts=self.to_torch(episode_starts, copy=False),
            mask=th.ones(len(batch_inds), device=self.device),
        )
