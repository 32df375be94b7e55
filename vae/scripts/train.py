"""Train one VAE: python train.py [GROUP=OPTION] [NAME=VALUE]. `python train.py --help` lists them."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae import cli
from vae.compat import load_tensorflow
from vae.runs.paths import RunDirectory


@hydra.main(version_base="1.3", config_path=cli.CONFIGS, config_name="train")
def train(config: DictConfig) -> float | list[float] | None:
    """Train a VAE and record the run in its directory; return the quantities that a search optimizes."""
    directory = cli.run_directory()
    with cli.reported_errors(directory), cli.begun_run(config, directory):
        cli.check_configuration(config)
        if cli.is_finished_run_of_sweep(directory):
            return None
        load_tensorflow(config.trainer.threads)  # takes seconds: whatever can fail earlier has been checked

        import keras

        from vae import training
        from vae.config import build
        from vae.distributed.strategies import build_strategy

        options = build.build_options(config)
        run = RunDirectory(config.resume or directory)
        checkpoints = training.checkpoints_in(run.checkpoints)
        strategy = build_strategy(options.strategy, cli.shared_facts(config, checkpoints))
        keras.backend.clear_session()  # of the run before this one, if a sweep's runs share a process
        keras.utils.set_random_seed(config.seed)

        data = build.build_data(config)
        if checkpoints:
            build.import_classes(config)  # Keras must know a user's classes before it loads the model
            model, start = training.latest_checkpoint(run.checkpoints, f"resume={run}")
        else:
            new = build.build_model(config, data, cli.choices())
            programs = cli.shared_programs(config, HydraConfig.get())
            model, start = training.shared_model(new, programs), training.Progress()
        audit, further = build.build_audit(config, data), build.build_callbacks(config)
        if checkpoints:
            build.check_networks(model, config, f"resume={run}")
            optimizer = build.build_optimizer(config, data)
            start = training.checked_progress(run, start, model, optimizer, further, options, data)
        description = cli.description_of_run(config)

        with training.RunRecord(directory, **cli.facts_of_run(config)) as record:
            scale = model.regularizer_scale(options.batch_size)
            training.warn_of_effective_beta(model, scale, options.batch_size)
            recording = training.recording_callbacks(model, data, record, options, audit, scale, description)
            with training.Checkpoints(record, further, options, data.size("train"), start) as saver:
                training.fit(model, data, [*recording, *further, saver], options, start=start, strategy=strategy)
            training.save_results(model, data, record, description)
        if record.writes:
            cli.show_outcome(record.directory, record.summary)
            return record.validation_values(config.metric)
    return None


def main() -> None:
    """Train on the options of the shell's command line."""
    cli.main(train)
