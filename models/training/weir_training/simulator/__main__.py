"""`python -m weir_training.simulator`."""

import sys

from .cli import main

sys.exit(main())
