"""The named networks; one file each, with `build(input_shape, classes) -> nn.Module`."""
