"""Entropy and information of counted symbols, in bits, corrected for the number of samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def entropy_bits(symbols: NDArray[np.int64]) -> float:
    """Return the entropy of drawn symbols, in bits; 0 if all are equal.

    That of their frequencies, which is too low on average, plus (m - 1) / 2n nats for m different
    symbols among n draws (Miller, "Note on the bias of information estimates", 1955). The
    correction suffices where most symbols were drawn several times.

    :param symbols: (n,), n >= 1
    """
    _, counts = np.unique(symbols, return_counts=True)
    return _plain(counts) + (len(counts) - 1) / (2 * len(symbols) * math.log(2))


def information_bits(symbols: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return what symbols tell about labels, in bits: 0 for independent ones, and at most their
    smaller entropy, reached where one determines the other.

    The mutual information I of the frequencies is too high on average: by E, its mean over all
    pairings of these symbols with these labels. It is corrected as M (I - E) / (M - E), M the
    smaller entropy, and 0 where that is negative (Vinh, Epps and Bailey, "Information theoretic
    measures for clusterings comparison: variants, properties, normalization and correction for
    chance", JMLR 11, 2010). Where nearly all symbols differ, nothing can be told: 0.

    :param symbols: (n,), n >= 1
    :param labels: (n,), likewise
    """
    from sklearn.metrics import cluster  # lazily: it takes a second to import

    _, rows = np.unique(symbols, return_inverse=True)
    _, columns = np.unique(labels, return_inverse=True)
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    pairs = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    table = pairs.reshape(shape)
    of_symbols, of_labels = _plain(table.sum(1)), _plain(table.sum(0))
    information = of_symbols + of_labels - _plain(pairs)
    most = min(of_symbols, of_labels)
    chance = cluster.expected_mutual_information(table, len(rows)) / math.log(2)
    if most - chance < 1e-9:  # a single symbol or label, or all different
        return 0.0
    return min(most, max(0.0, most * (information - chance) / (most - chance)))


def _plain(counts: NDArray[np.int64]) -> float:
    """Return the entropy of the frequencies, bits."""
    p = counts[counts > 0] / counts.sum()
    return float(abs((p * np.log2(p)).sum()))
