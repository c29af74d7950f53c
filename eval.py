"""Evaluate trained runs exactly; ``python eval.py --help`` tells how."""

from glimpse_lab.cli.eval import main

if __name__ == "__main__":
    main()
