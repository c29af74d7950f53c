"""Running an LSTM over the sequences of a rollout, padded or packed."""

from __future__ import annotations

from typing import Any

import torch as th
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from torch import nn

LstmStates = tuple[th.Tensor, th.Tensor]
"""Hidden and cell state, each float32 (n_layers, n_seq, hidden_size)."""


def lstm_arguments(policy: RecurrentActorCriticPolicy) -> dict[str, Any]:
    """Return what sb3-contrib forgets of a recurrent policy's constructor, by name.

    With them the policy can be saved by itself.
    """
    return {
        "lstm_hidden_size": policy.lstm_output_dim,
        "n_lstm_layers": policy.lstm_actor.num_layers,
        "shared_lstm": policy.shared_lstm,
        "enable_critic_lstm": policy.enable_critic_lstm,
        "lstm_kwargs": policy.lstm_kwargs,
    }


def _reset(states: tuple[th.Tensor, ...], episode_starts: th.Tensor) -> LstmStates:
    """Return the states, zero where an episode starts.

    :param states: hidden and cell state, each (n_layers, n_seq, hidden_size)
    :param episode_starts: (n_seq,), 1 where it does
    """
    keep = (1.0 - episode_starts).view(1, -1, 1)
    return keep * states[0], keep * states[1]


def run_padded(
    features: th.Tensor,
    states: tuple[th.Tensor, ...],
    episode_starts: th.Tensor,
    lstm: nn.LSTM,
) -> tuple[th.Tensor, LstmStates]:
    """Return the memory's output on sequences padded to one length, without a loop over time.

    The same as sb3-contrib computes. The buffer cuts sequences where episodes start, so that an
    episode can start at the first row only: resetting the initial states once is enough. Should one
    start later, the stock loop runs.

    :param features: float32 (n_seq * T, F), sequence by sequence
    :param states: hidden and cell state, each (n_layers, n_seq, hidden_size)
    :param episode_starts: float32 (n_seq * T,)
    :param lstm: the memory
    :return: float32 (n_seq * T, hidden_size), and the last states
    """
    n_seq = states[0].shape[1]
    starts = episode_starts.reshape(n_seq, -1)
    if starts.shape[1] > 1 and bool(starts[:, 1:].any()):
        return RecurrentActorCriticPolicy._process_sequence(features, states, episode_starts, lstm)
    sequences = features.reshape(n_seq, -1, lstm.input_size).swapaxes(0, 1)  # (T, n_seq, F)
    output, new_states = lstm(sequences, _reset(states, starts[:, 0]))
    return output.transpose(0, 1).flatten(0, 1), new_states


def run_packed(
    features: th.Tensor,
    states: tuple[th.Tensor, ...],
    episode_starts: th.Tensor,
    lstm: nn.LSTM,
) -> tuple[th.Tensor, LstmStates]:
    """Return the memory's output on rows without padding.

    They are as :class:`~policies.packed_buffer.PackedRecurrentDictRolloutBuffer` gives them.
    With the longest sequences first, those that reach time t are the first few: one call of the
    LSTM a time step on just these. Where episodes are short and uneven, as with an agent that
    decides when to stop, most rows of the padded computation would be padding.

    :param features: float32 (B, F), sequence after sequence
    :param states: hidden and cell state at the first rows, each (n_layers, n_seq, hidden_size), and
        the indices of these rows, int64 (n_seq,), increasing from 0
    :param episode_starts: float32 (B,), nonzero at first rows only
    :param lstm: the memory
    :return: float32 (B, hidden_size), and the last states of the longest sequences (of no use)
    """
    n_rows = features.shape[0]
    first = states[2].to(features.device)
    lengths = th.diff(first, append=first.new_full((1,), n_rows))
    lengths, order = lengths.sort(descending=True, stable=True)
    first = first[order]
    hidden, cell = _reset((states[0][:, order], states[1][:, order]), episode_starts[first])

    times = th.arange(int(lengths[0]), device=lengths.device)
    outputs, places = [], []
    for t, n in enumerate((lengths[None, :] > times[:, None]).sum(dim=1).tolist()):
        rows = first[:n] + t
        state = hidden[:, :n].contiguous(), cell[:, :n].contiguous()
        output, (hidden, cell) = lstm(features.index_select(0, rows)[None], state)
        outputs.append(output[0])
        places.append(rows)
    order_of_rows = th.empty_like(th.cat(places))
    order_of_rows[th.cat(places)] = th.arange(n_rows, device=first.device)
    return th.cat(outputs).index_select(0, order_of_rows), (hidden, cell)
