"""The one error that a user can mend."""


class StcError(ValueError):
    """A message that says what, where, expected, got, and how to mend it.

    Anything else that escapes is a bug of ours and is shown with its traceback. ::

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
        said = f"{where}: {'; '.join(facts)}" if facts else where
        said = said if said.endswith((".", "!", "?")) else said + "."
        super().__init__(f"{said} {remedy}" if remedy else said)

    def __reduce__(self):
        return (_rebuild, (self.where, self.expected, self.got, self.remedy))


def _rebuild(where: str, expected: str | None, got: str | None, remedy: str | None):
    return StcError(where, expected=expected, got=got, remedy=remedy)
