"""Entropy of beliefs, in nats; entropy and information of counted symbols, in bits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PROBABILITY_FLOOR = 1e-7
"""A probability below this counts as this in logarithms, which so stay finite: the smallest is
-16.1 nats, and an entropy is off by 4e-8 nats per class at most."""


def log_probability(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the logarithms, in nats, of probabilities that count as 1e-7 at least.

    :param probabilities: of any shape, 0 to 1
    :return: of the same shape and type
    """
    return np.log(np.maximum(probabilities, PROBABILITY_FLOOR))


def entropy(beliefs: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the entropy of each belief, in nats.

    :param beliefs: class probabilities, (..., K), 0 to 1 with sum 1
    :return: (...), of the same type, 0 to log K
    """
    return -(beliefs * log_probability(beliefs)).sum(axis=-1)


def entropy_bits(symbols: NDArray[np.int64]) -> float:
    """Return the entropy of drawn symbols, in bits; 0 if all are equal.

    That of their frequencies, which is too low on average, plus (m - 1) / 2n nats for m different
    symbols among n draws (Miller, "Note on the bias of information estimates", 1955). The
    correction suffices where most symbols were drawn several times.

    :param symbols: (n,), n >= 1
    """
    _, counts = np.unique(symbols, return_counts=True)
    return _frequency_bits(counts) + (len(counts) - 1) / (2 * len(symbols) * math.log(2))


def information_bits(symbols: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return what symbols tell about labels, in bits.

    The mutual information I of the frequencies is too high on average: by E, its mean over all
    pairings of these symbols with these labels. It is corrected as M (I - E) / (M - E), M the
    smaller entropy, and 0 where that is negative (Vinh, Epps and Bailey, "Information theoretic
    measures for clusterings comparison: variants, properties, normalization and correction for
    chance", JMLR 11, 2010). Where all symbols or all labels differ, nothing can be told: 0.

    :param symbols: (n,), n >= 1
    :param labels: (n,), likewise
    :return: 0 for independent ones, at most their smaller entropy, reached where one determines
        the other
    """
    from sklearn.metrics import adjusted_mutual_info_score  # lazily: it takes a second to import

    counts = [np.unique(drawn, return_counts=True)[1] for drawn in (symbols, labels)]
    if max(map(len, counts)) == len(symbols):  # I = E = M, which scikit-learn calls a perfect match
        return 0.0
    share = adjusted_mutual_info_score(labels, symbols, average_method="min")
    return min(map(_frequency_bits, counts)) * min(1.0, max(0.0, share))


def _frequency_bits(counts: NDArray[np.int64]) -> float:
    """Return the entropy of the frequencies, bits.

    :param counts: (m,), each at least 1
    """
    p = counts / counts.sum()
    return float(abs((p * np.log2(p)).sum()))
