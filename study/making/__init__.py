"""What ``study.make_cards`` is made of: a topic's passages, cards by rules, and reading a model's answer."""
