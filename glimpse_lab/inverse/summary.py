"""The result of an evaluation in a few lines."""

from __future__ import annotations

from glimpse_lab.inverse.result import NEAR, ErrorSummary, InverseEvaluation, Told


def summary(result: InverseEvaluation) -> str:
    """Return the result in a few lines."""
    lines = []
    if result.env_kwargs:
        lines.append(f"settings that differ from {result.env}:")
        lines += [f"  {key} = {value}" for key, value in result.env_kwargs.items()]
    source = "" if result.dataset is None else f" of {result.dataset}"
    total = result.agent.total
    lines += [
        f"{result.env}, {result.split} split{source}, each of {result.n_images:,} images once, "
        "deterministic actions:",
        f"  type        {_accuracy(total)}",
        f"  similarity  {total.mean_similarity:.3f} on average, {100 * total.near:.1f} % above "
        f"{NEAR}",
        f"  carried out {100 * total.carried_out:.1f} %: the right type, and a parameter within a "
        "tenth of the true one, or within a pixel, a degree or a per cent",
        "  of the true type's parameter the absolute error: median, mean and 90th percentile, in "
        "brackets where the type was right",
    ]
    for name, told in result.agent.by_type.items():
        right = "none was" if told.error_where_right is None else _error(told.error_where_right)
        lines.append(
            f"    {name:11}{_error(told.error)} {told.unit} ({right}); type "
            f"{100 * told.type_accuracy:.1f} %, similarity {told.mean_similarity:.3f}"
        )
    sizes = ", ".join(
        f"{name} {100 * told.type_accuracy:.1f} %" for name, told in result.agent.by_size.items()
    )
    lines.append(f"  type by the size of the action, in thirds of its range: {sizes}")
    for name, told in (result.instructions or {}).items():
        lines.append(
            f"  {name}: {100 * told.carried_out:.1f} % of {told.n_images:,} carried out; type "
            f"{100 * told.type_accuracy:.1f} %, similarity {told.mean_similarity:.3f}"
        )
    if plan := result.planning:
        low, high = (100 * bound for bound in plan.success_ci95)
        lines.append(
            f"  planning    {100 * plan.success:.1f} %  (95 % interval {low:.1f} to {high:.1f}) of "
            f"episodes reach a similarity of {plan.success_at:g}, with {plan.mean_steps:.2f} "
            f"actions on average of at most {plan.max_steps}"
        )
    if reference := result.reference:
        first = "" if reference.n_images == result.n_images else " first"
        lines.append(
            f"  registration, without learning, on the{first} {reference.n_images:,} images: type "
            f"{_accuracy(reference.registration.total)}, similarity "
            f"{reference.registration.total.mean_similarity:.3f}; the agent there "
            f"{100 * reference.agent.type_accuracy:.1f} %, {reference.agent.mean_similarity:.3f}"
        )
    if result.no_reference:
        lines.append(f"  no registration beside it: {result.no_reference}")
    return "\n".join(lines)


def _accuracy(told: Told) -> str:
    low, high = (100 * bound for bound in told.type_accuracy_ci95)
    return f"{100 * told.type_accuracy:.2f} %  (95 % interval {low:.2f} to {high:.2f})"


def _error(error: ErrorSummary) -> str:
    return " / ".join(f"{value:.3g}" for value in vars(error).values())
