"""`python -m netwatch`."""

from __future__ import annotations

import sys

from netwatch.app.main import main

if __name__ == "__main__":
    sys.exit(main())
