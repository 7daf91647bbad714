"""Figures as serving processes read them: from the tables that `analytics.recalculating` writes, and of one customer from SQL."""
