"""Reads of crm."""
