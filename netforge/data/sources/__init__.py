"""Sources of images wherever they are stored, and how one is found by its kind and name."""
