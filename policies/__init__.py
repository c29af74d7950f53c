"""Stable-Baselines3 policies that learn where to look and when to answer."""

from policies.buffers import PackedRecurrentDictRolloutBuffer
from policies.callbacks import PackedSequences
from policies.distributions import (
    DecisionHead,
    FactoredCategoricalDistribution,
    FactoredMultiCategoricalDistribution,
    make_factored_distribution,
)
from policies.extractors import GlimpseExtractor
from policies.layers import BypassLayout, FourierFeatures, GlimpseEncoder
from policies.recurrent import GlimpseLstmPolicy, GlimpsePolicy, GlimpsePolicyMixin

__all__ = [
    "BypassLayout",
    "DecisionHead",
    "FactoredCategoricalDistribution",
    "FactoredMultiCategoricalDistribution",
    "FourierFeatures",
    "GlimpseEncoder",
    "GlimpseExtractor",
    "GlimpseLstmPolicy",
    "GlimpsePolicy",
    "GlimpsePolicyMixin",
    "PackedRecurrentDictRolloutBuffer",
    "PackedSequences",
    "make_factored_distribution",
]
