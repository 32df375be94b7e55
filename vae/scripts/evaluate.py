"""Measure a trained VAE: python evaluate.py run=RUN_DIR. `python evaluate.py --help` lists the options."""

import hydra
from omegaconf import DictConfig

from vae import cli
from vae.compat import load_tensorflow
from vae.config.agreement import check_shape
from vae.diagnosis import diagnose_if_whole, format_findings
from vae.errors import printable
from vae.runs.files import write_json
from vae.runs.identity import flatten
from vae.runs.paths import RunDirectory
from vae.runs.summary import read_summary


@hydra.main(version_base="1.3", config_path=cli.CONFIGS, config_name="evaluate")
def evaluate(config: DictConfig) -> None:
    """Measure a run's model on a split of its data, and write the result into the run's directory."""
    with cli.reported_errors(), cli.measured_run(config) as run:
        directory = RunDirectory(config.run)
        load_tensorflow()  # takes seconds: whatever can fail earlier has been checked

        from vae import data, evaluation, training
        from vae.config import build
        from vae.config.stored import plain
        from vae.random import Stream

        build.import_classes(run)  # Keras must know a user's classes before it loads the model
        model = training.trained_model(directory.path, f"run={config.run}")
        seed = run.seed if config.seed is None else config.seed
        source = build.build("data", run.data)
        check_shape(source, config.split, model.encoder.input_shape[1:])
        build.check_networks(model, run, f"run={config.run}")
        images = getattr(source, config.split)[: config.take]
        stream = Stream[f"{config.split.upper()}_BINARIZATION"]
        batches = data.evaluation_batches(images, config.batch_size, source.binarization, seed, stream)

        with evaluation.progress_bar(len(images)) as advance:
            measured = evaluation.measure_model(model, batches, config.nll_samples, seed, advance)
        summary, steps = read_summary(directory), int(model.batches_seen.numpy())
        quantities = {"split": config.split, "steps": steps, **measured}
        if config.gap_images is not None:
            count = min(config.gap_images, len(images))
            with evaluation.progress_bar(count, "optimizing") as advance:
                quantities |= evaluation.measure_inference_gap(
                    model, batches, count, config.gap_steps, config.nll_samples, seed, advance
                )
        pictures = evaluation.save_pictures(model, next(iter(batches)), directory.path, seed)
        write_json(directory.evaluation, evaluation.marked_non_finite(quantities))
        evaluation.print_quantities(quantities, [directory.evaluation, *pictures])
        if summary.get("steps") not in (None, steps):
            recorded = printable(str(summary["steps"]))
            print(f"note: this is the model of step {steps}; what training recorded last is of step {recorded}")
        if "validation" in summary:
            findings = diagnose_if_whole(summary, flatten(plain(run)), directory.summary)
            if findings is not None:
                print(format_findings(findings))


def main() -> None:
    """Measure the run that the shell's command line names."""
    cli.main(evaluate)
