"""The agent: a loop over an event log that proposes, checks, asks and acts."""
