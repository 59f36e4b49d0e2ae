"""`python -m cryowatch`."""

from cryowatch.cli import main

if __name__ == "__main__":
    main()
