"""Stable-Baselines3 policies that learn where to look and when to answer."""

from policies.attention import MemoryTransformer, TransformerBlock
from policies.buffers import PackedRecurrentDictRolloutBuffer
from policies.callbacks import (
    Checkpoint,
    Diverged,
    EpisodeStatistics,
    EpsilonGreedy,
    PackedSequences,
    Progress,
)
from policies.classifier import TorchClassifier
from policies.cotraining import CoTrainingCallback
from policies.decision import DecisionHead, HybridDecisionHead
from policies.determined import ActorLearningAutomaton
from policies.distributions import (
    FactoredCategoricalDistribution,
    FactoredHybridDistribution,
    FactoredMultiCategoricalDistribution,
    make_factored_distribution,
)
from policies.extractors import GlimpseExtractor
from policies.hybrid import HybridDistribution
from policies.hybrid_policies import HybridLstmPolicy, HybridPolicy, HybridPolicyMixin
from policies.layers import BypassLayout, FourierFeatures, GlimpseEncoder
from policies.recurrent import GlimpseLstmPolicy, GlimpsePolicy, GlimpsePolicyMixin
from policies.scanpath_images import ScanpathImages
from policies.token_memory import GlimpseTokenPolicy
from policies.vit import ViTExtractor

__all__ = [
    "ActorLearningAutomaton",
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
    "ScanpathImages",
    "TorchClassifier",
    "TransformerBlock",
    "ViTExtractor",
    "make_factored_distribution",
]
