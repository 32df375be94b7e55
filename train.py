"""Train one VAE: python train.py [GROUP=OPTION] [NAME=VALUE]. `python train.py --help` lists them."""

from dataclasses import asdict
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from vae import cli as configuration
from vae.cli.outcome import show_outcome
from vae.compat import load_tensorflow
from vae.diagnosis import diagnose


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def train(config: DictConfig) -> float | list[float] | None:
    """Trains, and leaves in the run's directory all that was learnt; returns what a search over options looks at."""
    directory = configuration.run_directory()
    with configuration.reported(made=directory):
        settings = configuration.train_settings(config)
        if configuration.is_done(directory):
            return None
        load_tensorflow(settings.trainer.threads)  # takes seconds: what could fail before has been checked

        import keras

        from vae import training

        checkpoints = Path(settings.resume or directory) / "checkpoints"
        kept = training.checkpoints(checkpoints)
        strategy = training.build_strategy(settings.trainer.strategy, configuration.shared_facts(settings, kept))
        chief = configuration.is_chief(settings.trainer.strategy)
        keras.backend.clear_session()  # of the run before this one, where a sweep's runs share a process
        keras.utils.set_random_seed(settings.seed)
        source = configuration.build_source(config)
        audit = configuration.build_audit(config, source.size("train"))
        callbacks = configuration.build_callbacks(config)
        model, progress = None, training.Progress()
        if kept:
            configuration.build_kl(config.kl)  # a class of the user's must be known before the model is loaded
            model, progress = training.latest_checkpoint(checkpoints, f"resume={checkpoints.parent}")
        model = model or configuration.build_model(config, source)

        kl = configuration.kl_name(config)
        with training.RunRecord(directory, writes=chief, seed=settings.seed, kl=kl) as record:
            training.fit(
                model,
                source,
                record,
                epochs=settings.trainer.epochs,
                batch_size=settings.trainer.batch_size,
                binarization=settings.data.binarization,
                engine=settings.trainer.engine,
                strategy=strategy,
                chunk=settings.trainer.chunk,
                progress=progress,
                audit=audit,
                callbacks=callbacks,
                options=configuration.hyperparameters(config),
                configuration=OmegaConf.to_yaml(config),
            )
            if chief:
                findings = diagnose(record.summary, configuration.flat(configuration.plain(config)))
                record.update(diagnosis=[asdict(finding) for finding in findings])
                training.save_model(model, record.directory.model)
        if chief:
            show_outcome(record.directory, record.summary)
            return record.validation_values(settings.metric)
    return None


if __name__ == "__main__":
    configuration.main(train)
