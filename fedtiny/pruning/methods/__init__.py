"""The methods; one file each, with a class `Method` (see `fedtiny.pruning.method`)."""
