"""The compiler: front doors, graph, passes, planner."""
