"""The pages of event types: ours as they are documented, and those that a merchant describes."""
