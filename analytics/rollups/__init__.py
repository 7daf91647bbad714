"""Purchases summed up by day, with who bought: what figures over millions of purchases are read from.

    changes   which days are not, or no longer, in the sums
    sheets    the sums of any days, from the purchases themselves
    refresh   writes the sums of changed days, and those of whole weeks and months
    reading   the figures of any period: sums where they hold, the purchases of changed days where they do not

People are sets of numbers, and a set is a whole number whose bit n is the member with the number n: union, intersection and
size of a million of them take microseconds. See docs/adr/0023-roll-ups.md.
"""
