"""Action distributions: what the agent decides, in factors and in parts."""
