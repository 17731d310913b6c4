"""The measurements behind `make bench`, each beside a peer or a floor, in one run. Nothing here judges a figure."""
