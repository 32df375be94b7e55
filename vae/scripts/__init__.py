"""The two scripts: `vae.scripts.train` and `vae.scripts.evaluate`."""
