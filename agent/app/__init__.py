"""The application: step functions over the ports, and the one place that wires them."""
