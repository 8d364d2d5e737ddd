"""The names of the rights of crm. Personal data needs the right of accounts besides."""

VIEW_CONNECTION = "crm.view_connection"
ADD_CONNECTION = "crm.add_connection"
CHANGE_CONNECTION = "crm.change_connection"
DELETE_CONNECTION = "crm.delete_connection"
CONNECT = "crm.connect_connection"  # give RTX access to a CRM, test it, take the access back
RUN = "crm.run_connection"  # start and cancel runs, replay dead letters
VIEW_MAPPING = "crm.view_fieldmapping"
CHANGE_MAPPING = "crm.change_fieldmapping"
VIEW_RUN = "crm.view_syncrun"
VIEW_LINK = "crm.view_link"
VIEW_CONFLICT = "crm.view_conflict"
VIEW_DEAD_LETTER = "crm.view_deadletter"
