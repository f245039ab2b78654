"""`python -m netforge.cli`: the same as the program `netforge`."""

from netforge.cli import main

main()
