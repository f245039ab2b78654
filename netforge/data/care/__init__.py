"""Keeping sources in order: copies, exports, checks, statistics, and what may be removed."""
