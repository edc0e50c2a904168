"""The onset picker on trial: pulses of known arrival in known noise, against the physical limit."""
