"""The quality bench: what Weir's decisions are worth on data that its models never saw."""
