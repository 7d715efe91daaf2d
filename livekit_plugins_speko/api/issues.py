"""The list of issues in the body of a 400: what the service found wrong, field by field. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

MOST = 5
"""Most issues in the text of an error."""


def describe_issues(found: object) -> str:
    """Return the issues as one text, such as ``ttlSeconds: too big; llm.maxTokens: not a number``.

    Args:
        found: The value of ``issues``: a list of ``{"path", "message"}``, whose path is a text or a
            list of names and places. What has another form is left out.
    """
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ""
    told = [*_lines(found[:MOST])]
    if len(found) > MOST:
        told.append(f"and {len(found) - MOST} more")
    return "; ".join(told)


def _lines(issues: Sequence[object]) -> Iterator[str]:
    for issue in issues:
        if not isinstance(issue, Mapping):
            continue
        path, message = _path(issue.get("path")), issue.get("message")
        if isinstance(message, str) and message.strip():
            yield f"{path}: {message.strip()}" if path else message.strip()


def _path(found: object) -> str:
    if isinstance(found, str):
        return found
    names = found if isinstance(found, Sequence) else ()
    return ".".join(str(name) for name in names if isinstance(name, str | int))
