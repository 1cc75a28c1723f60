"""What operators are told: log lines, metrics, traces and error reports. Nothing of it is what a user wrote."""
