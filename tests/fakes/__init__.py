"""Stateful stand-ins for the CRM providers: what their pages say, behind a real HTTP port on loopback."""
