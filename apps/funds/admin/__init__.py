"""Admin pages of funds: the queue, the policies, and money actions on the page of an account."""

from apps.funds.admin.accounts import FundedAccountAdmin
from apps.funds.admin.operations import FundOperationAdmin, FundStepAdmin
from apps.funds.admin.policies import FundPolicyAdmin

__all__ = ["FundOperationAdmin", "FundPolicyAdmin", "FundStepAdmin", "FundedAccountAdmin"]
