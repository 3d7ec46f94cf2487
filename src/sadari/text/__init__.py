"""What a text says, in Korean and English, without a dictionary. Knows nobody else of sadari."""
