"""`python -m codeforge`: the command line, for processes that are started by their interpreter."""

from codeforge.cli.main import main

if __name__ == "__main__":
    main()
