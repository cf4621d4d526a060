"""How an int8 range is chosen from a histogram of what was seen; one file a method.

Each defines `choose(histogram) -> (low, high)`.
"""
