"""FedTiny: federated pruning, a compiler for sparse networks, and a runtime that proves them."""
