"""What is trained if nothing is said."""

DEFAULT_ENV = "GlimpseDigits-MultiCat-v0"
"""Its data come with the package."""
