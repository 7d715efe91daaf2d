"""The matrix of faults: its effect on a call of each stage, as a table of rows that are tests.

`answers` breaks responses, `stages` makes the calls and collects their output, `rows` is a fault
and the result expected of it. The rows are in `network`, `streams`, `audio` and `registered`;
`calls` and `fetches` run them, and `table` prints their outcomes.
"""
