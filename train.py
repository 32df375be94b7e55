"""Train one VAE: python train.py [GROUP=OPTION] [NAME=VALUE]. `python train.py --help` lists them."""

import hydra
from omegaconf import DictConfig, OmegaConf

from vae import config as configuration
from vae.startup import load_tensorflow


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def train(config: DictConfig) -> None:
    """Trains, and leaves in the run's directory all that was learnt."""
    directory = configuration.run_directory()
    with configuration.reported(made=directory):
        settings = configuration.train_settings(config)
        load_tensorflow()  # takes seconds: what could fail before has been checked

        import keras

        from vae import training

        keras.utils.set_random_seed(settings.seed)
        source = configuration.build_source(config)
        audit = configuration.build_audit(config)
        callbacks = configuration.build_callbacks(config)
        model, progress = None, training.Progress()
        if settings.resume and training.checkpoints(directory / "checkpoints"):
            configuration.build_kl(config.kl)  # a class of the user's must be known before the model is loaded
            model, progress = training.latest_checkpoint(directory / "checkpoints", f"resume={settings.resume}")
        model = model or configuration.build_model(config, source)

        with training.RunRecord(directory, seed=settings.seed, kl=configuration.kl_name(config)) as record:
            training.fit(
                model,
                source,
                record,
                epochs=settings.trainer.epochs,
                batch_size=settings.trainer.batch_size,
                binarization=settings.data.binarization,
                engine=settings.trainer.engine,
                chunk=settings.trainer.chunk,
                progress=progress,
                audit=audit,
                callbacks=callbacks,
                options=configuration.hyperparameters(config),
                configuration=OmegaConf.to_yaml(config),
            )
            training.save_model(model, directory / "model.keras")
        training.show_outcome(record)


if __name__ == "__main__":
    configuration.main(train)
