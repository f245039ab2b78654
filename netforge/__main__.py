"""`python -m netforge`: the same as the program `netforge`."""

from netforge.cli import main

main()
