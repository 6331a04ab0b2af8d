"""RULES: the one list."""

from steplens.rules.accumulation_not_averaged import AccumulationNotAveraged
from steplens.rules.advantage_attached import AdvantageAttached
from steplens.rules.answer_in_the_input import AnswerInTheInput
from steplens.rules.average_forgets import AverageForgets
from steplens.rules.backward_never_stepped import BackwardNeverStepped
from steplens.rules.backward_twice import BackwardTwice
from steplens.rules.backward_without_graph import BackwardWithoutGraph
from steplens.rules.base import Rule
from steplens.rules.batch_rows_mixed import BatchRowsMixed
from steplens.rules.batches_of_one_class import BatchesOfOneClass
from steplens.rules.batches_used_up import BatchesUsedUp
from steplens.rules.clip_out_of_place import ClipOutOfPlace
from steplens.rules.constant_loss import ConstantLoss
from steplens.rules.copy_shares_storage import CopySharesStorage
from steplens.rules.dataset_written_in_place import DatasetWrittenInPlace
from steplens.rules.dead_units import DeadUnits
from steplens.rules.dropout_ignores_eval import DropoutIgnoresEval
from steplens.rules.ended_sequences_read import EndedSequencesRead
from steplens.rules.epoch_never_set import EpochNeverSet
from steplens.rules.evaluation_builds_graph import EvaluationBuildsGraph
from steplens.rules.evaluation_in_train_mode import EvaluationInTrainMode
from steplens.rules.exploding_gradients import ExplodingGradients
from steplens.rules.folds_share_a_model import FoldsShareAModel
from steplens.rules.fractions_lost import FractionsLost
from steplens.rules.frozen_statistics_moving import FrozenStatisticsMoving
from steplens.rules.grad_mode_left_off import GradModeLeftOff
from steplens.rules.gradients_cleared_before_step import GradientsClearedBeforeStep
from steplens.rules.gradients_from_another_loss import GradientsFromAnotherLoss
from steplens.rules.gradients_never_cleared import GradientsNeverCleared
from steplens.rules.graph_grows import GraphGrows
from steplens.rules.graph_kept_alive import GraphKeptAlive
from steplens.rules.group_rates_levelled import GroupRatesLevelled
from steplens.rules.heads_not_moved import HeadsNotMoved
from steplens.rules.labels_out_of_range import LabelsOutOfRange
from steplens.rules.learning_rate_zero import LearningRateZero
from steplens.rules.load_of_itself import LoadOfItself
from steplens.rules.load_of_nothing import LoadOfNothing
from steplens.rules.loss_broadcast import LossBroadcast
from steplens.rules.nll_without_log_softmax import NllWithoutLogSoftmax
from steplens.rules.not_finite import NotFinite
from steplens.rules.optimizer_holds_strangers import OptimizerHoldsStrangers
from steplens.rules.padding_in_the_loss import PaddingInTheLoss
from steplens.rules.padding_mask_inverted import PaddingMaskInverted
from steplens.rules.parameter_never_set import ParameterNeverSet
from steplens.rules.parameter_not_in_optimizer import ParameterNotInOptimizer
from steplens.rules.parameter_out_of_graph import ParameterOutOfGraph
from steplens.rules.plateau_mode_inverted import PlateauModeInverted
from steplens.rules.positions_along_batch import PositionsAlongBatch
from steplens.rules.ranks_apart import RanksApart
from steplens.rules.ranks_read_alike import RanksReadAlike
from steplens.rules.region_not_seen import RegionNotSeen
from steplens.rules.repeated_indices import RepeatedIndices
from steplens.rules.restored_in_vain import RestoredInVain
from steplens.rules.result_dropped import ResultDropped
from steplens.rules.retain_graph_unused import RetainGraphUnused
from steplens.rules.same_batch_again import SameBatchAgain
from steplens.rules.sample_without_gradient import SampleWithoutGradient
from steplens.rules.samples_never_drawn import SamplesNeverDrawn
from steplens.rules.saved_tensor_overwritten import SavedTensorOverwritten
from steplens.rules.scheduler_before_step import SchedulerBeforeStep
from steplens.rules.scheduler_drives_idle_optimizer import SchedulerDrivesIdleOptimizer
from steplens.rules.scheduler_never_stepped import SchedulerNeverStepped
from steplens.rules.scheduler_out_of_cadence import SchedulerOutOfCadence
from steplens.rules.sigmoid_before_bce_with_logits import SigmoidBeforeBceWithLogits
from steplens.rules.skip_overwritten import SkipOverwritten
from steplens.rules.softmax_before_cross_entropy import SoftmaxBeforeCrossEntropy
from steplens.rules.softmax_over_batch import SoftmaxOverBatch
from steplens.rules.stale_optimizer_state import StaleOptimizerState
from steplens.rules.statistics_left_behind import StatisticsLeftBehind
from steplens.rules.step_in_eval_mode import StepInEvalMode
from steplens.rules.step_with_loss_scale import StepWithLossScale
from steplens.rules.step_without_backward import StepWithoutBackward
from steplens.rules.step_without_effect import StepWithoutEffect
from steplens.rules.symmetric_weights import SymmetricWeights
from steplens.rules.target_attached import TargetAttached
from steplens.rules.term_without_gradient import TermWithoutGradient
from steplens.rules.tied_weights_parted import TiedWeightsParted
from steplens.rules.unfrozen_after_freezing import UnfrozenAfterFreezing
from steplens.rules.unregistered_parameter import UnregisteredParameter
from steplens.rules.unregistered_state import UnregisteredState
from steplens.rules.unused_suppression import UnusedSuppression
from steplens.rules.update_too_small import UpdateTooSmall
from steplens.rules.value_cancelled import ValueCancelled
from steplens.rules.vanishing_gradients import VanishingGradients
from steplens.rules.weighted_by_the_mean import WeightedByTheMean
from steplens.rules.workers_draw_alike import WorkersDrawAlike
from steplens.rules.wrapper_bypassed import WrapperBypassed

RULES: tuple[Rule, ...] = (
    UnusedSuppression,
    RegionNotSeen,
    StepInEvalMode,
    EvaluationInTrainMode,
    EvaluationBuildsGraph,
    DropoutIgnoresEval,
    FrozenStatisticsMoving,
    GradModeLeftOff,
    StatisticsLeftBehind,
    GradientsNeverCleared,
    GradientsClearedBeforeStep,
    StepWithoutBackward,
    BackwardNeverStepped,
    GradientsFromAnotherLoss,
    ClipOutOfPlace,
    AccumulationNotAveraged,
    StepWithLossScale,
    BackwardWithoutGraph,
    BackwardTwice,
    SavedTensorOverwritten,
    SampleWithoutGradient,
    TermWithoutGradient,
    ParameterNotInOptimizer,
    OptimizerHoldsStrangers,
    ParameterOutOfGraph,
    StaleOptimizerState,
    SchedulerBeforeStep,
    LearningRateZero,
    SchedulerNeverStepped,
    SchedulerOutOfCadence,
    TiedWeightsParted,
    UnregisteredParameter,
    StepWithoutEffect,
    LoadOfItself,
    CopySharesStorage,
    SchedulerDrivesIdleOptimizer,
    UnregisteredState,
    UnfrozenAfterFreezing,
    LoadOfNothing,
    RestoredInVain,
    PlateauModeInverted,
    AverageForgets,
    GroupRatesLevelled,
    GraphKeptAlive,
    GraphGrows,
    RetainGraphUnused,
    SoftmaxBeforeCrossEntropy,
    SigmoidBeforeBceWithLogits,
    NllWithoutLogSoftmax,
    LossBroadcast,
    SoftmaxOverBatch,
    SameBatchAgain,
    WorkersDrawAlike,
    BatchRowsMixed,
    DatasetWrittenInPlace,
    LabelsOutOfRange,
    SamplesNeverDrawn,
    PaddingMaskInverted,
    PositionsAlongBatch,
    AnswerInTheInput,
    ResultDropped,
    FoldsShareAModel,
    PaddingInTheLoss,
    SkipOverwritten,
    RepeatedIndices,
    EndedSequencesRead,
    ValueCancelled,
    WeightedByTheMean,
    AdvantageAttached,
    TargetAttached,
    HeadsNotMoved,
    BatchesOfOneClass,
    BatchesUsedUp,
    NotFinite,
    ExplodingGradients,
    VanishingGradients,
    DeadUnits,
    SymmetricWeights,
    UpdateTooSmall,
    ConstantLoss,
    FractionsLost,
    ParameterNeverSet,
    WrapperBypassed,
    EpochNeverSet,
    RanksReadAlike,
    RanksApart,
)
