"""Pure decisions: refresh times, backoff, rate limits, the meaning of failures and successes."""
