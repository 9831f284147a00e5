"""`python -m simulation [SEEDS [FIRST]]`: see seeds.py."""

import sys

from simulation.seeds import main

sys.exit(main(*map(int, sys.argv[1:])) > 0)
