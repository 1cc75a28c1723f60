"""The request type ``make_cards``: makes cards from a topic and proposes them to the student."""
