"""Devices: where arrays live and operations run."""
