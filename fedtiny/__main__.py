"""`python -m fedtiny` is the command line."""

from fedtiny.cli import main

main()
