"""Targets, device profiles, board support and runners."""
