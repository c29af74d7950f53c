"""Disturbed images: corruptions and attacks."""
