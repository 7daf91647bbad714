"""The pages of segments that managers make themselves: the list, the rule builder, the members.

On these pages they are called groups: "segments" are the five of the lifecycle there, which the service assigns.
"""
