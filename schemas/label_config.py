"""Label configuration: which evidence counts for how much, and what a reward is made of."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from schemas.errors import ConfigurationError
from schemas.section import Section


class Plugin(Section):
    """Something of your own."""

    use: str
    """`package.module:attribute`."""
    options: dict[str, Any] = {}
    """Keyword arguments, where the attribute is a class or function that makes it."""


class Assumed(Section):
    """How often a kind of evidence shows, before this installation's logs have proven it."""

    success: float = Field(gt=0, lt=1)
    """Share of successes that show it."""
    failure: float = Field(gt=0, lt=1)
    """Share of failures that show it; the logarithm of the ratio is its weight."""


class Detector(Plugin):
    """A detector of your own: told an episode, it says whether the episode shows something."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    """What it detects: a new kind of evidence."""
    success: float = Field(0.2, gt=0, lt=1)
    """Share of successes assumed to show it."""
    failure: float = Field(0.2, gt=0, lt=1)
    """Share of failures assumed to show it; equal shares weigh nothing until proven."""


class RiskRule(Section):
    """One rule of the risk term."""

    use: str
    """A built-in rule or `package.module:attribute`."""
    weight: float = Field(1.0, ge=0, le=1)
    """Risk of an episode that breaks it outright."""
    options: dict[str, Any] = {}
    """What the rule can be told, such as its verbs."""


class CostConfig(Section):
    """What an episode cost, held against what its scenario usually costs."""

    tool_calls: float | None = Field(8, gt=0)
    """Calls that are usual where a scenario has too few episodes; None leaves them out."""
    tokens: float | None = Field(8000, gt=0)
    """Prompt and completion tokens that are usual; None leaves them out."""
    usd: float | None = Field(0.05, gt=0)
    """US dollars that are usual; None leaves them out."""
    latency_s: float | None = Field(60, gt=0)
    """Seconds from start to end that are usual; None leaves them out."""
    support: float = Field(4, ge=0)
    """Episodes of a scenario that weigh as much as the figures above."""


class SignalConfig(Section):
    """When a signal or a message counts as evidence."""

    rating_high: float = 4
    """Rating from which it speaks for success: the upper two of five."""
    rating_low: float = 2
    """Rating down to which it speaks against: the lower two of five; between them it is silent."""
    score_above: float = 0.5
    """Evaluator's score from which it speaks for success, else against."""
    reask_similarity: float = Field(0.7, gt=0, le=1)
    """Share of words (Jaccard) that two questions have in common to be the same one: rewording
    keeps most of them, another question of the same kind changes a value, which never passes."""
    reask_minutes: float = Field(1440, gt=0)
    """Minutes in which the same question in one session is a re-ask: later it is a new need."""
    loop_calls: int = Field(3, ge=2)
    """Equal calls that make a loop: the second may be a retry of something that failed."""
    over_asking: int = Field(3, ge=1)
    """Questions the agent asks back from which it over-asks: one or two may be needed."""
    wait_days: int = Field(90, ge=1)
    """Days for which a signal waits for its episode, and in which an older episode is looked for
    on its account; `label --all` finds those beyond."""
    user_share: float = Field(0.05, gt=0, le=1)
    """Share of one kind of feedback beyond which one user's, or session's, counts for no more."""
    user_floor: int = Field(10, ge=1)
    """Pieces of one kind that a user can always give before the share above is looked at."""


class JudgeConfig(Section):
    """A judge that compares episodes of one scenario, where nothing better has decided."""

    use: str = "rules"
    """`rules` (offline), `endpoint` (an OpenAI-compatible one), or `package.module:attribute`."""
    base_url: str | None = None
    """The endpoint's address up to `/v1`; its key is in `FLYWHEEL_JUDGE_API_KEY`."""
    model: str | None = None
    """The endpoint's model."""
    group: int = Field(4, ge=2, le=8)
    """Most episodes compared in one question."""
    budget: int = Field(200, ge=0)
    """Most requests a night; what is cached costs none."""
    timeout_s: float = Field(30, gt=0)
    """Seconds to wait for an answer."""
    retries: int = Field(2, ge=0)
    """Times a request that failed for the endpoint's reasons is made again."""
    parallel: int = Field(4, ge=1)
    """Requests under way at once."""
    characters: int = Field(6000, ge=200)
    """Most characters of one episode that it is shown; the middle is left out."""
    options: dict[str, Any] = {}
    """Keyword arguments of a judge of your own."""


class RewardModelConfig(Section):
    """A reward model, trained on the newest build's pairs, for what nothing else has labelled."""

    epochs: float = Field(2.0, gt=0)
    """Passes over the pairs."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak rate."""
    batch_size: int = Field(8, ge=1)
    """Pairs a step."""
    max_pairs: int = Field(800, ge=2)
    """Most pairs used."""
    min_pairs: int = Field(40, ge=2)
    """Pairs below which it is not trained."""
    held_out: int = Field(60, ge=10)
    """Labelled episodes it must be checked on, at least, and never trained on."""
    max_ece: float = Field(0.1, gt=0, le=1)
    """Expected calibration error above which it abstains."""
    min_auc: float = Field(0.65, ge=0.5, le=1)
    """Area under the ROC curve below which it abstains."""
    max_episodes: int = Field(5000, ge=1)
    """Most unlabelled episodes scored a night."""


class LabelConfig(Section):
    """From evidence to rewards."""

    success_weight: float = Field(1.0, ge=0)
    """`a` in `R = a * success - b * cost - c * risk`."""
    cost_weight: float = Field(0.1, ge=0)
    """`b`."""
    risk_weight: float = Field(0.5, ge=0)
    """`c`."""
    discount: float = Field(0.95, gt=0, le=1)
    """Discount of the return-to-go, per assistant step."""
    prior_log_odds: float = 0.0
    """Log-odds of success before any evidence."""
    success_above: float = Field(0.6, ge=0.5, le=1)
    """Success probability from which an episode is labelled a success."""
    failure_below: float = Field(0.4, ge=0, le=0.5)
    """Success probability up to which an episode is labelled a failure."""
    smoothing: float = Field(10.0, gt=0)
    """Pseudo-counts that pull a kind's learnt log-odds towards its default."""
    min_support: int = Field(20, ge=1)
    """Verified episodes that must have shown a kind before its log-odds are learnt at all."""
    step_shrinkage: float = Field(2.0, ge=0)
    """Pseudo-counts that pull a step's advantage towards 0."""
    decision_gap: float = Field(0.5, gt=0)
    """Difference of two actions' mean returns that makes a state a decision point."""
    decision_support: int = Field(2, ge=1)
    """Episodes that an action needs to count as supported."""
    signals: SignalConfig = SignalConfig()
    """When a signal or a message counts as evidence."""
    assumed: dict[str, Assumed] = {}
    """Other shares for kinds of evidence than the defaults in docs/labels.md."""
    cost: CostConfig = CostConfig()
    """What an episode cost."""
    risk: list[RiskRule] = [
        RiskRule(use="failing_calls"),
        RiskRule(use="destructive", weight=0.5),
        RiskRule(use="personal_data", weight=0.5),
        RiskRule(use="not_offered", weight=0.5),
        RiskRule(use="unverifiable", weight=0.2),
    ]
    """Rules of the risk term; a list of your own takes the place of all of them."""
    rewards: list[Plugin] = []
    """Verifiers of your own: told an episode, each gives a fraction in [0, 1] or abstains."""
    detectors: list[Detector] = []
    """Detectors of your own."""
    judge: JudgeConfig | None = None
    """A judge; None asks none."""
    reward_model: RewardModelConfig | None = None
    """A reward model; None trains none."""

    @field_validator("detectors")
    @classmethod
    def _have_names_of_their_own(cls, detectors: list[Detector]) -> list[Detector]:
        """Refuse two detectors of one name."""
        names = [detector.name for detector in detectors]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(
                    f"label.detectors names {name!r} twice.", "Give each a name of its own."
                )
        return detectors
