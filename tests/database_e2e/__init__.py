"""The forked proxy on a real PostgreSQL: what Redis serves, what the database serves when Redis does not."""
