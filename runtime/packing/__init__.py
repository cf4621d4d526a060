"""How kernels pack weights; one file a packing."""
