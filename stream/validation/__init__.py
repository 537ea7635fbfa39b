"""Whether a reply may be believed: strict JSON, the task's contract, then its checks, one file each."""

from stream.validation.table import CHECKS, verify_checks
from stream.validation.validator import Validator

__all__ = ["CHECKS", "Validator", "verify_checks"]
