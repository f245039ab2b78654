"""The image database: its file, its tables, what is written into it, and the cache beside it."""
