"""`python -m fastroute` is the `fastroute` command."""

from fastroute.cli import main

if __name__ == "__main__":
    main()
