"""Labels: queries that choose images by them, edits that can be taken back, and counts of how often each is drawn."""
