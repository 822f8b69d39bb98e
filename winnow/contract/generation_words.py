"""What the loop of a package came to, in words: for the page and the command line."""

from winnow.contract.report import GenerationReport


def in_words(made: GenerationReport) -> str:
    """Tokens that agree, perplexity, and speed or why it is not told."""
    parts = [
        f"Token by token: {made.token_agreement:.2%} of {made.tokens:,} tokens of {made.samples:,} answers are as the "
        f"original's, {made.equal_answers:.2%} of the answers wholly."
    ]
    if made.perplexity is not None:
        parts.append(f"Perplexity {made.perplexity.before:.4g} before and {made.perplexity.after:.4g} after.")
    if made.tokens_per_second is None or made.speedup is None or made.speedup_interval is None:
        parts.append(f"How fast tokens come is not told: {made.untold}.")
    else:
        low, high = made.speedup_interval
        rates = made.tokens_per_second
        parts.append(
            f"{rates.before:,.0f} tokens a second before and {rates.after:,.0f} after, {made.speedup:.2f} times as "
            f"fast (95 %: {low:.2f} to {high:.2f})."
        )
    return " ".join(parts)
