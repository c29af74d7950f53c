"""Features extractors: from an observation to a vector."""
