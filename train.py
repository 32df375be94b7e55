"""Train one VAE: python train.py [GROUP=OPTION] [NAME=VALUE]. `python train.py --help` lists them."""

import hydra
from omegaconf import DictConfig, OmegaConf

from vae import config as configuration
from vae.errors import UserError
from vae.startup import load_tensorflow


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def train(config: DictConfig) -> None:
    """Trains, and leaves in the run's directory all that was learnt."""
    directory = configuration.run_directory()
    with configuration.reported(made=directory):
        settings = configuration.train_settings(config)
        if configuration.is_done(directory):
            return
        load_tensorflow(settings.trainer.threads)  # takes seconds: what could fail before has been checked

        import keras

        from vae import training

        keras.backend.clear_session()  # of the run before this one, where a sweep's runs share a process
        keras.utils.set_random_seed(settings.seed)
        source = configuration.build_source(config)
        model, first_epoch = configuration.build_model(config, source), 0
        audit = configuration.build_audit(config)
        callbacks = configuration.build_callbacks(config)
        if training.checkpoints(directory / "checkpoints"):
            model, first_epoch = training.latest_model(directory / "checkpoints", f"resume={directory}")
            if first_epoch >= settings.trainer.epochs:
                raise UserError(
                    f"resume={settings.resume}: has its {first_epoch} epochs; give more by trainer.epochs=N"
                )

        with training.RunRecord(directory, seed=settings.seed, kl=configuration.kl_name(config)) as record:
            training.fit(
                model,
                source,
                record,
                epochs=settings.trainer.epochs,
                batch_size=settings.trainer.batch_size,
                binarization=settings.data.binarization,
                engine=settings.trainer.engine,
                first_epoch=first_epoch,
                audit=audit,
                callbacks=callbacks,
                options=configuration.hyperparameters(config),
                configuration=OmegaConf.to_yaml(config),
            )
            training.save_model(model, directory / "model.keras")
        training.show_outcome(record)


if __name__ == "__main__":
    configuration.main(train)
