"""One file for each revision, in their order. What was released is never changed; what changes is a new file."""
