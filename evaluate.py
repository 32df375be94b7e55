"""Measure a trained VAE: python evaluate.py run=RUN_DIR. `python evaluate.py --help` lists the options."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from vae import cli as configuration
from vae.compat import load_tensorflow
from vae.diagnosis import diagnose, format_findings


@hydra.main(version_base="1.3", config_path="configs", config_name="evaluate")
def evaluate(config: DictConfig) -> None:
    """Measures a run's model on a split of its data, and writes what was measured beside it."""
    with configuration.reported():
        settings = configuration.evaluate_settings(config)
        directory = Path(settings.run)
        run = configuration.run_configuration(directory, "run")
        load_tensorflow()  # takes seconds: what could fail before has been checked

        from vae import data, evaluation, training
        from vae.evaluation.pictures import save_figures
        from vae.random import Stream
        from vae.runs.files import write_json

        configuration.build_kl(run.kl)  # a class of the user's must be known before the model is loaded
        model = training.trained_model(directory, f"run={settings.run}")
        seed = run.seed if settings.seed is None else settings.seed
        images = getattr(configuration.build_source(run), settings.split)[: settings.take]
        stream = Stream[f"{settings.split.upper()}_BINARIZATION"]
        batches = data.evaluation_batches(images, settings.batch_size, run.data.binarization, seed, stream)

        measured = evaluation.measure(
            model, evaluation.with_progress(batches, len(batches)), settings.nll_samples, seed
        )
        figures = {"split": settings.split, **measured}
        paths = save_figures(model, next(iter(batches)), directory, seed)
        write_json(directory / "evaluation.json", figures)
        evaluation.show_figures(figures, [directory / "evaluation.json", *paths])
        if "validation" in (summary := configuration.run_summary(directory)):
            print(format_findings(diagnose(summary, configuration.flat(configuration.plain(run)))))


if __name__ == "__main__":
    configuration.main(evaluate)
