"""`python -m medray` is `medray`."""

from medray.cli import main

main()
