"""Bringing images into the image database."""
