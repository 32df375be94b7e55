"""Train one VAE: python train.py [GROUP=OPTION] [NAME=VALUE]. `python train.py --help` lists them.

What it does stands in vae/scripts/train.py; an installed package calls it `vae-train`.
"""

from vae.scripts.train import main

if __name__ == "__main__":
    main()
