"""A Lightning callback: names epoch and stage on the timeline, and can stop the fit on a finding.

``Trainer(callbacks=[StepLens(stop_on="error")])``; works with ``lightning`` and
``pytorch_lightning``, under ``steplens run`` and without it.
"""
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUntypedBaseClass=false
# pyright: reportGeneralTypeIssues=false

import sys
from typing import Any

if "lightning" in sys.modules or "pytorch_lightning" not in sys.modules:
    from lightning.pytorch.callbacks import Callback
else:
    from pytorch_lightning.callbacks import Callback  # type: ignore[no-redef]

from steplens.check.fits import Fit


class StepLens(Callback):
    """Watches a fit. ``stop_on`` is the severity from which a finding ends it (None: never).

    ``report`` holds the Report after the fit.
    """

    def __init__(self, stop_on: str | None = None) -> None:
        self.fit = Fit(stop_on)

    @property
    def report(self) -> Any:
        """The Report of the last fit, None before its end."""
        return self.fit.report

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """A fit, a validation or a test begins."""
        self.fit.begin(type(pl_module).__name__, pl_module)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """It is over."""
        self.fit.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """It broke off."""
        self.fit.end()

    def on_sanity_check_start(self, trainer: Any, pl_module: Any) -> None:
        """Some batches are validated before the first epoch."""
        self.fit.name("sanity check")

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """An epoch begins."""
        self.fit.name("training", trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Training goes on after a validation in the middle of an epoch."""
        self.fit.name("training", trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step was taken: stop the fit, if what was found is severe enough."""
        why = self.fit.spoilt()
        if why and not trainer.should_stop:
            trainer.should_stop = True
            sys.stderr.write(f"steplens stops the fit: {why}\n")

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """A validation begins."""
        if not trainer.sanity_checking:
            self.fit.name("validation", trainer.current_epoch)

    def on_test_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """A test begins."""
        self.fit.name("test")

    def on_predict_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """A prediction begins."""
        self.fit.name("prediction")
