"""What a user of `python -m training` can mend. Apart from service's family, which the server maps to HTTP."""


class TrainingError(Exception):
    """One or two sentences: what is wrong, what was expected, what was found, what to try."""
