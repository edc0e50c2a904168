"""What a technician asks of a node, and the rows that answer: beside the daemon and without it."""
