"""Trains the two models that Weir ships, from a simulated stream to a verified package."""

import os

# A spinning OpenMP thread steals the core that its neighbour waits for: on a busy two-core
# machine waiting passively trains twice as fast. It must be set before PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
