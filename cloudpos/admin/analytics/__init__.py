"""The analytics pages of the admin: the overview and what stands behind each of its numbers.

Every page shows what one or two service functions of `analytics` answer, the same as the API gives.
"""
