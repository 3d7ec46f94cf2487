"""After a climb: what still fails and where, and what tuning did beside its task."""
