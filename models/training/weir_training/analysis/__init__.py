"""The analysis model: a small decoder that writes a report about an escalated case."""
