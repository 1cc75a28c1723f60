"""What stands on an operator's machine: production's packages alone, the image, compose and nginx."""
