"""Measure a trained VAE: python evaluate.py run=RUN_DIR. `python evaluate.py --help` lists the options.

What it does stands in vae/scripts/evaluate.py; an installed package calls it `vae-evaluate`.
"""

from vae.scripts.evaluate import main

if __name__ == "__main__":
    main()
