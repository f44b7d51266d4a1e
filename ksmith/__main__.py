"""`python -m ksmith` is `ksmith`."""

from ksmith.cli import main

main()
