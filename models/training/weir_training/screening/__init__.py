"""Trains, exports and measures the screening model (tier 1)."""
