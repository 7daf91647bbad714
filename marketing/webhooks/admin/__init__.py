"""The pages of webhooks in the admin."""
