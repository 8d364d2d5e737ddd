"""Names of the rights that fund operations ask for. Who carries them: apps/accounts/permissions.py."""

VIEW = "funds.view_fundoperation"
REQUEST = "funds.request_fundoperation"
POST = "funds.post_fundoperation"
APPROVE = "funds.approve_fundoperation"
CHANGE_POLICY = "funds.change_fundpolicy"
APPROVE_POLICY = "funds.approve_fundpolicy"

POSTING = "funds.post"  # kinds of approvals
LOOSENING = "funds.policy"
