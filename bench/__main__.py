"""`python -m bench`, and `fastroute bench`."""

from bench.commands import main

if __name__ == "__main__":
    main()
