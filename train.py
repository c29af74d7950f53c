"""Train an agent that classifies images through glimpses; ``python train.py --help`` tells how."""

from glimpse_lab.cli.train import main

if __name__ == "__main__":
    main()
