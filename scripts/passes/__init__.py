"""The operator's passes: preflight, verify (M6), reliability (M8) and guardrails (M9). docs/reliability.md says what each does.

The executables of the same names in scripts/ are their front doors. Standard library only.
"""
