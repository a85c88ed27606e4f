"""`python -m stc_core`, the same as `stc`."""

from stc_core.cli.app import main

if __name__ == "__main__":
    main()
