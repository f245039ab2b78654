"""Contact sheets: images on one picture, to look at."""
