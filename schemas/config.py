"""The one configuration of the flywheel, and the parameter of its flows.

The defaults are the embedded CPU profile; a file lists only what differs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from schemas.errors import ConfigurationError
from schemas.label_config import LabelConfig, Plugin
from schemas.privacy import PrivacyConfig
from schemas.section import Section
from schemas.training_config import TrainConfig


class IngestConfig(Section):
    """Reading logs."""

    chunk_mb: int = Field(64, ge=1)
    """Megabytes of logs read and committed together: small files in one commit, big ones in
    several."""
    partitions: int = Field(1, ge=1, le=1024)
    """Parts that the files are shared out into, to be ingested side by side."""
    runner: Literal["threads", "processes", "ray"] = "threads"
    """Where parts run: in threads of one process, in processes of this machine, or on a Ray cluster
    (extra `ray`; `RAY_ADDRESS` names it, else one is started here), which must see the home."""
    importers: list[Plugin] = []
    """Your own log formats, asked before the built-in ones: `use: package.module:attribute`."""


class BuildConfig(Section):
    """From labels to training sets."""

    split_salt: str = "flywheel"
    """Salt of the split's hash; changing it changes every split."""
    held_out_share: float = Field(0.05, ge=0, lt=1)
    """Share of logged groups that no training set ever sees."""
    split_by_user: bool = False
    """Keep a user's episodes on one side; in busy logs one giant group may come of it."""
    largest_group: float = Field(0.05, gt=0, le=1)
    """Share of the episodes above which one group stops the build."""
    sft_good_steps: bool = False
    """Imitate the good steps of failed episodes too, as step values show them."""
    good_step_advantage: float = Field(0.1, ge=0)
    """Least advantage of a good step."""
    good_step_support: int = Field(3, ge=1)
    """Least visits behind it."""
    sft_confidence: float = Field(0.2, ge=0, le=1)
    """Least label confidence of an SFT episode."""
    sft_cap_per_scenario: int = Field(2, ge=1)
    """Most SFT episodes of one scenario."""
    replay_share: float = Field(0.5, ge=0)
    """Older successes mixed in, as a multiple of the night's own, against forgetting."""
    replay_nights: int = Field(8, ge=0)
    """Most earlier nights that they are drawn from; others every night."""
    pair_margin: float = Field(0.3, ge=0)
    """Least difference of composite return between chosen and rejected."""
    pair_confidence: float = Field(0.2, ge=0, le=1)
    """Least confidence of both labels of a pair."""
    pair_cap_per_scenario: int = Field(2, ge=1)
    """Most pairs of one scenario."""
    pair_length_ratio: float = Field(3.0, ge=1)
    """Most that one side of a pair may be longer than the other, in characters."""
    pair_support: int = Field(2, ge=1)
    """Least visits of both actions of a decision-point pair."""
    scenario_hard_share: float = Field(0.2, ge=0, le=1)
    """Most scenarios that nobody has solved yet, as a share of those with both outcomes."""
    scenario_episodes: int = Field(2, ge=2)
    """Least labelled episodes of a scenario before its pass rate means anything."""


class EnvironmentConfig(Section):
    """What the agent plays in."""

    use: str = "sql_agent"
    """A built-in environment or the `package.module:attribute` of a world."""
    options: dict[str, Any] = {}
    """Keyword arguments of its world, beside `root`, `seed` and `salt`."""


class EvaluateConfig(Section):
    """Held-out play."""

    params: int = Field(350, ge=10)
    """Frozen scenarios of unseen parameters."""
    compositions: int = Field(200, ge=10)
    """Frozen scenarios of unseen compositions."""
    samples: int = Field(4, ge=1)
    """Sampled attempts a scenario, for sampled success and pass@k."""


class PromoteConfig(Section):
    """What a challenger must prove."""

    model_name: str = "agent-policy"
    """Registered model name in MLflow."""
    minimum_effect: float = 0.0
    """The lower confidence bound of the paired gain must exceed this (fraction)."""
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """Chance a night of promoting a policy no better than the champion (one-sided)."""
    slice_tolerance: float = Field(0.10, ge=0)
    """Most that the success of one slice may fall (fraction)."""
    tool_error_tolerance: float = Field(0.05, ge=0)
    """Most that the tool-error rate may rise (fraction)."""
    cost_tolerance: float = Field(0.25, ge=0)
    """Most that the tool calls for each solved scenario may rise, relative."""


class TrafficConfig(Section):
    """The demo's production: how much traffic its simulated users make."""

    first_night: int = Field(12000, ge=50)
    """Episodes logged by the scripted agent before the first night."""
    later_nights: int = Field(1500, ge=50)
    """Episodes the champion plays between two nights."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of the serving policy."""


class FlywheelConfig(Section):
    """Everything the flywheel can be told."""

    home: Path = Path(".flywheel")
    """Local folder of all run-time data; a URL is refused."""
    seed: int = Field(0, ge=0)
    """Seed of scenarios, traffic and training."""
    ingest: IngestConfig = IngestConfig()
    """Reading logs."""
    privacy: PrivacyConfig = PrivacyConfig()
    """Secrets, personal data and users."""
    label: LabelConfig = LabelConfig()
    """From evidence to rewards."""
    build: BuildConfig = BuildConfig()
    """From labels to training sets."""
    environment: EnvironmentConfig = EnvironmentConfig()
    """What the agent plays in."""
    train: TrainConfig = TrainConfig()
    """The policy and its candidates."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Held-out play."""
    promote: PromoteConfig = PromoteConfig()
    """What a challenger must prove."""
    traffic: TrafficConfig = TrafficConfig()
    """The demo's production."""

    @field_validator("home", mode="before")
    @classmethod
    def _is_local(cls, home: Any) -> Any:
        """Refuse a URL, also one that has been a path and so lost one of its slashes."""
        if "://" in str(home) or re.match(r"[A-Za-z][\w+.-]+:/", str(home)):
            raise ConfigurationError(
                f"home = {str(home)!r} is a URL; the home is a local folder today.",
                "Give a folder; a mounted bucket is one too.",
            )
        if found := re.search("%[0-9A-Fa-f]{2}", str(Path(home).expanduser().resolve())):
            raise ConfigurationError(
                f"home = {str(home)!r} has {found[0]} in its path, which Delta Lake takes for an "
                "escape.",
                "Give a folder without it.",
            )
        return home
