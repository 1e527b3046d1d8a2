import sys

from bench.matrix.cli import main

sys.exit(main())
