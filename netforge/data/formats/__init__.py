"""Files read without trust: archives, pictures, and the formats that other programs write."""
