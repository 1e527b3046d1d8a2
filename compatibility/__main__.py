import sys

from compatibility.cli import main

sys.exit(main())
