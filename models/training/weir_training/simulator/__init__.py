"""A seeded simulator of payments and payment fraud with ground truth."""

from .simulation import Config, simulate

__all__ = ["Config", "simulate"]
