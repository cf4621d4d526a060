"""Who can be timed: a file that defines `CONTENDER` is one, named after the file."""
