"""Stable-Baselines3 policies that learn where to look and when to answer."""

from policies.actions.cacla import CACLA
from policies.actions.epsilon_greedy import EpsilonGreedy
from policies.actions.factored import (
    FactoredCategoricalDistribution,
    FactoredHybridDistribution,
    FactoredMultiCategoricalDistribution,
    make_factored_distribution,
)
from policies.actions.heads import DecisionHead, HybridDecisionHead
from policies.actions.hybrid import HybridDistribution
from policies.actor_critic import GlimpseLstmPolicy, GlimpsePolicy, GlimpsePolicyMixin
from policies.callbacks import (
    Checkpoint,
    Diverged,
    EpisodeStatistics,
    PackedSequences,
    Progress,
)
from policies.classifier.callback import CoTrainingCallback
from policies.classifier.model import TorchClassifier
from policies.extractors.attention import MemoryTransformer, TransformerBlock
from policies.extractors.glimpse import GlimpseExtractor
from policies.extractors.layers import BypassLayout, FourierFeatures, GlimpseEncoder
from policies.extractors.vit import ViTExtractor
from policies.hybrid_policies import HybridLstmPolicy, HybridPolicy, HybridPolicyMixin
from policies.memory_tokens import GlimpseTokenPolicy
from policies.packed_buffer import PackedRecurrentDictRolloutBuffer

__all__ = [
    "CACLA",
    "BypassLayout",
    "Checkpoint",
    "CoTrainingCallback",
    "DecisionHead",
    "Diverged",
    "EpisodeStatistics",
    "EpsilonGreedy",
    "FactoredCategoricalDistribution",
    "FactoredHybridDistribution",
    "FactoredMultiCategoricalDistribution",
    "FourierFeatures",
    "GlimpseEncoder",
    "GlimpseExtractor",
    "GlimpseLstmPolicy",
    "GlimpsePolicy",
    "GlimpsePolicyMixin",
    "GlimpseTokenPolicy",
    "HybridDecisionHead",
    "HybridDistribution",
    "HybridLstmPolicy",
    "HybridPolicy",
    "HybridPolicyMixin",
    "MemoryTransformer",
    "PackedRecurrentDictRolloutBuffer",
    "PackedSequences",
    "Progress",
    "TorchClassifier",
    "TransformerBlock",
    "ViTExtractor",
    "make_factored_distribution",
]
