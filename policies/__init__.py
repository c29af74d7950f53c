"""Stable-Baselines3 policies that learn where to look and when to answer."""

from policies.buffers import PackedRecurrentDictRolloutBuffer
from policies.callbacks import (
    Checkpoint,
    Diverged,
    EpisodeStatistics,
    PackedSequences,
    Progress,
)
from policies.classifier import TorchClassifier
from policies.cotraining import CoTrainingCallback
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
    "Checkpoint",
    "CoTrainingCallback",
    "DecisionHead",
    "Diverged",
    "EpisodeStatistics",
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
    "Progress",
    "TorchClassifier",
    "make_factored_distribution",
]
