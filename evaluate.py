"""Measure a trained VAE: python evaluate.py run=RUN_DIR. `python evaluate.py --help` lists the options."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from vae import cli as configuration
from vae.compat import load_tensorflow
from vae.diagnosis import diagnose, in_words


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def evaluate(config: DictConfig) -> None:
    """Measures a run's model on a split of its data, and writes what was measured beside it."""
    with configuration.reported():
        settings = configuration.evaluate_settings(config)
        directory = Path(settings.run)
        run = configuration.run_configuration(directory, "run")
        load_tensorflow()  # takes seconds: what could fail before has been checked

        from vae import data, evaluation, training
        from vae.random import Stream
        from vae.runs.files import write_json

        configuration.build_kl(run.kl)  # a class of the user's must be known before the model is loaded
        model = training.trained_model(directory, f"run={settings.run}")
        seed = run.seed if settings.seed is None else settings.seed
        source = configuration.build_source(run)
        images = getattr(source, settings.split)[: settings.take]
        stream = Stream[f"{settings.split.upper()}_BINARIZATION"]
        batches = data.evaluation_batches(images, settings.batch_size, source.binarization, seed, stream)

        measured = evaluation.measure_model(
            model, evaluation.with_progress_bar(batches, len(batches)), settings.nll_samples, seed
        )
        quantities = {"split": settings.split, **measured}
        paths = evaluation.save_pictures(model, next(iter(batches)), directory, seed)
        write_json(directory / "evaluation.json", quantities)
        evaluation.print_quantities(quantities, [directory / "evaluation.json", *paths])
        if "validation" in (summary := configuration.run_summary(directory)):
            print(in_words(diagnose(summary, configuration.flat(configuration.plain(run)))))


if __name__ == "__main__":
    configuration.main(evaluate)
