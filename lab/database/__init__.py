"""A real PostgreSQL with LiteLLM's own migrations, and what a proxy needs to run on it without
Prisma's engine.
"""
