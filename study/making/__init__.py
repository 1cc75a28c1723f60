"""Making cards from a topic, for the student to decide about: the request type ``make_cards``."""
