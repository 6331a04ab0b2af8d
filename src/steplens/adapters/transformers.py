"""A transformers callback: names epoch and stage on the timeline, and can stop the training on a
finding.

``Trainer(..., callbacks=[StepLens(stop_on="error")])``, under ``steplens run`` and without it.
"""
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUntypedBaseClass=false
# pyright: reportGeneralTypeIssues=false

import sys
from typing import Any

from transformers import TrainerCallback

from steplens.check.fits import Fit


class StepLens(TrainerCallback):
    """Watches a training. ``stop_on`` is the severity from which a finding ends it (None: never).

    ``report`` holds the Report after the training.
    """

    def __init__(self, stop_on: str | None = None) -> None:
        self.fit = Fit(stop_on)

    @property
    def report(self) -> Any:
        """The Report of the last training, None before its end."""
        return self.fit.report

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """The training begins."""
        self.fit.begin(type(model).__name__, model)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """It is over."""
        self.fit.end()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The first batch of a step is about to be run."""
        self.fit.name("training", state.epoch or 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step was taken: stop, if what was found is severe enough."""
        why = self.fit.spoilt()
        if why and not control.should_training_stop:
            control.should_training_stop = True
            sys.stderr.write(f"steplens stops the training: {why}\n")

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A batch of an evaluation was run."""
        self.fit.name("evaluation", max(0.0, (state.epoch or 0) - 1e-6))
