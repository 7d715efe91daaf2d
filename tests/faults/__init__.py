"""The matrix of faults: what each does to a call of each stage, as a table of rows that are tests.

`answers` is what a service can do, `stages` what a call is and what is heard of it, `rows` a fault
and what is expected of it. The rows stand in `network`, `streams`, `audio` and `registered`;
`calls` and `fetches` try them, and `table` prints what was seen.
"""
