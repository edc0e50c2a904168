"""Two people, two screens, the same words: what a command asks before it trusts a key or a file."""

import sys

from agent.core.trust.proquint import same_words
from agent.errors import EnrolmentError


def compare_words(shown: str, heard: str | None, option: str, whose: str) -> None:
    """Whether the words `shown` here are those that a person has heard of `whose` from another.

    `heard` are what was given with `option`; without it the person at the terminal is asked.
    Raises EnrolmentError unless they are the same.
    """
    if heard is None:
        if not sys.stdin.isatty():
            raise EnrolmentError(
                f'{option} "WORDS" is missing: the words of {whose} as they were read to you'
            )
        print(f"The words of {whose}:\n\n    {shown}\n")
        if _answer("Are these the words that were read to you? [yes/no] ") == "yes":
            return
        raise EnrolmentError(f"the words of {whose} were not confirmed: nothing was done")
    if not same_words(heard, shown):
        raise EnrolmentError(
            f"the words of {whose} are not those given with {option}: this is another's, "
            "or they were misheard; nothing was done"
        )


def _answer(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""
