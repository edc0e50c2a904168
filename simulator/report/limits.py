"""Whether a run kept what it promised: the scenario's limits, and records that verify."""

from simulator.grid.grid import GridResult
from simulator.grid.scenario import Limits
from simulator.report.score import Score
from simulator.report.wording import count


def broken_promises(result: GridResult) -> list[str]:
    """One phrase for each thing that must hold in every run, whatever is located."""
    faults = list(result.chain_faults)
    if result.records_verified != result.records_published:
        faults.append(
            f"{result.records_verified} of {result.records_published} published records verify"
        )
    return faults


def missed_limits(limits: Limits, score: Score) -> list[str]:
    """One phrase for each limit of the scenario that the score does not keep."""
    missed = []
    worst_m = max(score.errors_m, default=0.0)
    if worst_m > limits.max_error_m:
        missed.append(f"worst error {worst_m:.1f} m, allowed {limits.max_error_m:g} m")
    if score.rounds_located < limits.min_located:
        missed.append(
            f"{count(score.rounds_located, 'round')} located, wanted {limits.min_located}"
        )
    if score.false_incidents > limits.max_false:
        false = count(score.false_incidents, "false incident")
        missed.append(f"{false}, allowed {limits.max_false}")
    return missed
