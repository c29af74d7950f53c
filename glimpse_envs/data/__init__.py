"""Labelled images in three splits: found by name, downloaded, or read from a folder."""
