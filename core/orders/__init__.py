"""The ExecutionRouter: the only door to an order."""
