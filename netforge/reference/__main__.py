"""`python -m netforge.reference`: write the reference pages anew."""

from netforge.reference import write_pages

if __name__ == "__main__":
    write_pages()
