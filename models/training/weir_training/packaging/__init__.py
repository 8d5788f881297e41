"""Writes model packages: manifest, golden vectors, model card."""
