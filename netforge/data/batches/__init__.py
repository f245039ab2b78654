"""Batches: which images each one holds, and how it is made ready ahead of its use."""
