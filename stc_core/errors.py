"""The one error for problems that a user can solve."""


class StcError(ValueError):
    """A message that says where, expected, got, and how to solve the problem.

    Any other error that escapes is our own bug and is shown with its traceback. ::

        raise StcError(
            "column 'labl'",
            expected="one of the columns text, label",
            remedy="Pass --label label.",
        )
    """

    def __init__(
        self,
        where: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.where = where
        self.expected = expected
        self.got = got
        self.remedy = remedy
        facts = [
            f"{name} {value}"
            for name, value in (("expected", expected), ("got", got))
            if value
        ]
        message = f"{where}: {'; '.join(facts)}" if facts else where
        message = message if message.endswith((".", "!", "?")) else message + "."
        super().__init__(f"{message} {remedy}" if remedy else message)

    def __reduce__(self):
        facts = (self.where, self.expected, self.got, self.remedy)
        return (_rebuild, (type(self), *facts))


def _rebuild(
    kind: type[StcError],
    where: str,
    expected: str | None,
    got: str | None,
    remedy: str | None,
) -> StcError:
    return kind(where, expected=expected, got=got, remedy=remedy)


class MemoryShortage(StcError):
    """There is too little memory now; there may be enough once other work ends."""
