"""A hundred at once, on PostgreSQL: who wins, and what the others are told."""
