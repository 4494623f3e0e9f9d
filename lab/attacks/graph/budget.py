"""How much may be tried before an attack on a graph gives up."""


class TooManyError(Exception):
    """More neighbourhoods fit than can be told apart."""


class Budget:
    """How many of what takes time may still be done in all."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        """Take so many off. Raises ``TooManyError`` where there are fewer."""
        self.left -= count
        if self.left < 0:
            raise TooManyError
