"""Inverse action modelling: a siamese transformer, and how rewards alone train it."""

from policies.inverse.enumeration import ActionEnumeration
from policies.inverse.network import SiameseExtractor
from policies.inverse.policy import SiamesePolicy
from policies.inverse.supervised import SupervisedActions

__all__ = ["ActionEnumeration", "SiameseExtractor", "SiamesePolicy", "SupervisedActions"]
