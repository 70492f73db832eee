"""What the monitors of a training run look for, and how often they may act."""

from __future__ import annotations

from pydantic import Field

from schemas.section import Section


class MonitorConfig(Section):
    """Bounds of a healthy training run; what to do about a breach is the monitor's business."""

    kl_idle: float = Field(0.001, ge=0)
    """KL from the start (nats a token) under which a run is told to be idle."""
    kl_high: float = Field(0.1, gt=0)
    """KL above which the learning rate is halved."""
    kl_stop: float = Field(0.5, gt=0)
    """KL above which the run goes back to its last good weights and stops."""
    entropy_low: float = Field(0.005, ge=0)
    """Mean token entropy (nats) under which the policy no longer explores."""
    mixed_low: float = Field(0.1, ge=0, le=1)
    """Share of groups whose rewards differ under which play teaches next to nothing."""
    truncated_high: float = Field(0.2, ge=0, le=1)
    """Share of episodes that ran into a limit above which limits decide, not the policy."""
    clipped_high: float = Field(0.3, ge=0, le=1)
    """Share of tokens whose probability ratio is clipped above which the rate is halved."""
    tool_failures_high: float = Field(0.9, ge=0, le=1)
    """Share of failing tool calls above which the environment is taken for broken."""
    abstained_high: float = Field(0.9, ge=0, le=1)
    """Share of rollouts without a reward above which the run stops."""
    reward_fall: float = Field(0.15, gt=0, le=1)
    """Fall of the smoothed reward from its best at which a run goes back and stops."""
    gradient_high: float = Field(50.0, gt=0)
    """Gradient norm, as a multiple of its median so far, above which the rate is halved."""
    loss_rise: float = Field(1.0, gt=0)
    """Rise of the smoothed loss (imitation, preference) over its lowest, or over that of guessing
    all tokens alike, at which a run goes back to its last good weights."""
    window: int = Field(5, ge=1)
    """Logged rows over which figures are smoothed: play logs every step, other training every
    fifth."""
    warm: int = Field(5, ge=0)
    """First steps, in which only NaN, a loss that explodes, KL over its stop, a broken environment
    and a silent verifier are acted on."""
    halvings: int = Field(3, ge=0)
    """Most times that a run's learning rate is halved."""
    temperature_raises: int = Field(2, ge=0)
    """Most times that the sampling temperature is raised by a quarter when entropy is too low."""
    rollbacks: int = Field(1, ge=0)
    """Times that a run goes back to its last good weights with half the rate and goes on; after
    that it stops there."""
    probe_every: int = Field(0, ge=0)
    """Steps between probes on held-out validation scenarios; 0 for none."""
    probe_scenarios: int = Field(60, ge=10)
    """Scenarios of a probe."""
    probe_fall: float = Field(0.1, gt=0, le=1)
    """Fall of the probe from its best at which a run goes back and stops."""
    memory_retries: int = Field(4, ge=0)
    """Times that a stage that ran out of memory is tried again with less: fewer generations, a
    smaller micro-batch, shorter completions, gradient checkpointing, in this order."""
